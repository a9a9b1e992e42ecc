"""Record once, replay many times: recorded functions and what keeps their replays right."""
