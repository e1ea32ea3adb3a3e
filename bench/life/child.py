"""The process that lives the day: sets the clock before anything else is imported."""

from bench.life.clock import DrivenClock


def main() -> None:
    """Read the day's plan from standard input, live it, and print a sample as JSON now and then."""
    clock = DrivenClock()
    clock.install()
    from bench.life.day import live  # the clock must be there before  # noqa: PLC0415

    live(clock)


if __name__ == "__main__":
    main()
