from exporter.web.security.rate_limit import TokenBucket


def test_bucket_refills_with_time_up_to_the_burst() -> None:
    times = [0.0]
    bucket = TokenBucket(10.0, 2, lambda: times[-1])
    taken = []
    for time in (0, 0, 0, 9, 10, 11, 100, 100, 100):
        times.append(time)
        taken.append(bucket.take())
    assert taken == [True, True, False, False, True, False, True, True, False]
