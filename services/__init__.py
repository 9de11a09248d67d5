"""The services of Amends, and the `amends` command that runs them."""
