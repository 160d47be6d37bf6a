"""`tfrec evaluate` on the command line."""

from types import SimpleNamespace


def test_options_for_one_evaluation_reach_the_library(tfrec, monkeypatch):
    import tfrec as library

    given = []

    def evaluate(run, *arguments, **options):
        given.append(run)
        return {}

    monkeypatch.setattr(library, "evaluate", evaluate, raising=False)
    monkeypatch.setattr("tfrec.workflows.console_tables.print_metrics", lambda metrics: None)
    monkeypatch.setattr(library, "load_run", lambda path: SimpleNamespace(with_values=lambda values: ("run", values)))
    code, said, error = tfrec("evaluate", "--run", "r", "--data", "d", "--set", "cluster.engine=ray")
    assert code == 0 and "Wrote r/metrics.json" in said, error
    assert given == [("run", ["cluster.engine=ray"])]
