"""What travels between services: typed, versioned, and listed in `flow.py`. Pure pydantic; nothing here does I/O."""
