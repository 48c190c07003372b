"""`python -m ice_client.check`."""

from ice_client.check.cli import main

if __name__ == "__main__":
    main(prog_name="ice-check")
