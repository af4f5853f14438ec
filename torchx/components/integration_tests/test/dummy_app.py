"""A program that says that it ran."""


def main() -> None:
    """Prints one line."""
    print("hi from main")


if __name__ == "__main__":
    main()
