"""The words every room uses: ids, money, the clock, decisions and errors. Pure: no I/O, no settings, no logging."""
