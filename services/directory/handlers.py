"""What the directory is told: nothing but its own words. Its local copy, by which its API checks keys, is subscribed by the runtime."""

from faststream.kafka import KafkaBroker


def subscribe(broker: KafkaBroker) -> None:
    """No subscriber of the directory's own."""
