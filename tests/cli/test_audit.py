"""`tfrec audit` on the command line."""


def test_the_figures_are_printed_and_a_failed_audit_is_a_failure(tfrec, monkeypatch, tmp_path):
    auc = {"auc": 0.5, "low": 0.45, "high": 0.55}
    report = {
        "passed": True,
        "membership": {"scores": auc, "lists": auc},
        "memorised": {"sequences": 40, "memorised": {"share": 0.025, "low": 0.004, "high": 0.13}},
        "clipping": {"epsilon": 1.9, "lower_bound": 1.2},
        "training": {"epsilon": 8.0, "lower_bound": 0.0},
    }
    calls = []
    monkeypatch.setattr("tfrec.workflows.audit.audit", lambda *given, **options: calls.append(options) or report)
    out = tmp_path / "audit.json"
    code, said, error = tfrec("audit", "--run", "r", "--data", "d", "--out", out, "--canaries", 90)
    assert code == 0 and "AUC 0.500 (0.450 to 0.550)" in said and "1.20 proven, 1.90 promised" in said, error
    assert "Of 40 items that one person alone had, 2.5% are listed" in said and "(0.4% to 13.0%)" in said
    assert calls == [{"canaries": 90, "seed": 0, "force": False}]
    report["passed"] = False
    code, _, error = tfrec("audit", "--run", "r", "--data", "d", "--out", out)
    assert code == 1 and "proves more than the ledger promises" in error
