"""What tests share: real servers, and waiting for what will come true."""
