"""`duration`: formats durations for people."""


def duration(seconds: float) -> str:
    """A duration as "0:07", "12:34" or "1:02:03"."""
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_seconds:02}" if hours else f"{minutes}:{whole_seconds:02}"
