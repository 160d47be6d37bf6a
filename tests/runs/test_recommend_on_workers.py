import contextlib

import pytest

import tfrec
from tfrec.cluster import InThisProcess
from tfrec.errors import InvalidInput
from tfrec.runs import recommend_on_workers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("users", "allow"), [(None, None), (["u3", "u0", "u3", "u4"], None), (None, ["i0", "i2", "i5"]), ([], None)]
)
def test_workers_make_the_lists_of_one_process(small_run, small_data, monkeypatch, users, allow):
    calls = []

    class Counted(InThisProcess):
        def map(self, function, parts, label):
            calls.extend(parts)
            return super().map(function, parts, label)

    @contextlib.contextmanager
    def workers_of(config):
        yield Counted(config.workers)

    monkeypatch.setattr(recommend_on_workers, "workers_of", workers_of)
    run = tfrec.load_run(small_run).with_values({"evaluation.batch_size": 1, "retrieval.exclude_seen": "false"})
    ours = tfrec.recommend(run, small_data, k=3, users=users, allow=allow)
    many = run.with_values({"cluster.engine": "ray", "cluster.workers": 2})
    assert tfrec.recommend(many, small_data, k=3, users=users, allow=allow).equals(ours)
    assert len(calls) == {None: 3, 4: 3, 0: 1}[None if users is None else len(users)]


def test_an_unknown_user_is_refused_before_any_work(small_run, small_data):
    many = tfrec.load_run(small_run).with_values({"cluster.engine": "ray"})
    with pytest.raises(InvalidInput, match="nobody"):
        tfrec.recommend(many, small_data, users=["nobody"])
