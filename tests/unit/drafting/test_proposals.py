"""When a drafted pipeline's night begins."""

from collections import Counter

from tasks.datasets.proposals import START_HOUR, start_of


def test_starts_are_spread_over_the_hour_and_stay_where_they_are():
    minutes = Counter(start_of(f"p{number:02}").split()[0] for number in range(100))
    assert len(minutes) > 40
    assert max(minutes.values()) <= 6
    assert (
        start_of("small")
        == start_of("small")
        == f"{int(start_of('small').split()[0])} {START_HOUR} * * *"
    )
