"""`python -m turnd`."""

from turnd.cli import main

main()
