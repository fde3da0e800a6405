"""`python -m lastcall`: the program, where only its interpreter is at hand."""

from lastcall.cli.main import main

if __name__ == "__main__":
    main()
