"""The client with servers that answer, refuse, fail and stay silent."""

import http.server
import json
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tfrec.errors import InvalidInput, Unavailable
from tfrec.serving import Client, ServerError

pytest.importorskip("aiohttp")
pytest.importorskip("tensorflow_serving.apis.predict_pb2")


@pytest.fixture(scope="module")
def shop(exported):
    from tfrec.serving import LocalServer

    with LocalServer(exported.parent) as server:
        yield server


@pytest.fixture(params=["rest", "grpc"])
def client(shop, request):
    with Client(getattr(shop, request.param), "shop", deadline=30) as client:
        yield client


def test_recommend_is_what_the_export_says(client, served):
    answer = served(
        "recommend", history_item_ids=[["i3", "i8"]], history_events=[["view", "buy"]], exclude_item_ids=[["i5"]]
    )
    got = client.recommend([("i3", "view"), ("i8", "buy")], k=4, exclude=["i5"])
    assert [item for item, _ in got] == [item.decode() for item in answer.item_ids[0, :4]]
    assert_allclose([score for _, score in got], answer.scores[0, :4], rtol=1e-4)


def test_k_past_the_end_gives_what_there_is_and_0_is_refused(client):
    assert len(client.recommend([("i3", "view")], k=1000)) == 11
    with pytest.raises(InvalidInput, match="k of at least 1"):
        client.recommend([], k=0)


def test_a_history_of_ten_thousand_is_cut_to_its_newest(client):
    long = [("i0", "view")] * 9_994 + [(f"i{i}", "view") for i in (1, 2, 3, 4, 5, 6)]
    assert client.recommend(long, k=5) == client.recommend(long[-6:], k=5)


def test_everything_excluded_or_unknown_is_an_answer(client):
    assert client.recommend([("who", "what")], k=2)[0][0] == "i11"
    assert len(client.recommend([(f"i{i}", "view") for i in range(6)], exclude=["i6", "i7", "i8", "i9"])) == 2
    with pytest.raises(InvalidInput, match="at most 4 exclusions"):
        client.recommend([], exclude=["i0"] * 5)


def test_odd_strings_and_empty_batches_reach_the_model(client):
    vectors = client.predict({"texts": ["x" * 100_000, "👟", ""]}, signature="embed")
    assert next(iter(vectors.values())).shape == (3, 6)
    empty = client.predict({"item_ids": np.zeros([0], object)}, signature="similar_items")
    assert len(empty["count"]) == 0


def test_bytes_that_are_no_text_reach_the_model(client, served):
    answer = client.predict({"texts": [b"red \xff shoe"]}, signature="embed")
    (expected,) = vars(served("embed", texts=[b"red \xff shoe"])).values()
    assert_allclose(next(iter(answer.values())), expected, rtol=1e-5)


def test_rows_of_other_lengths_are_refused_before_they_are_sent(client):
    with pytest.raises(InvalidInput, match="'item_ids'"):
        client.predict({"item_ids": [["a"], ["b", "c"]]}, signature="similar_items")


def test_refusals_carry_the_servers_message(client):
    with pytest.raises(ServerError, match="signature") as error:
        client.predict({"x": ["a"]}, signature="nope")
    assert error.value.status in (400, "FAILED_PRECONDITION")


class Stumbling(http.server.BaseHTTPRequestHandler):
    """Answers with the codes it is given, then with 200."""

    codes: list = []
    seen = 0
    silent = threading.Event()

    def do_POST(self):
        type(self).seen += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.silent.is_set():
            self.silent.wait(0.5)
            self.close_connection = True
            threading.Event().wait(1.0)
            return
        code = self.codes.pop(0) if self.codes else 200
        body = json.dumps({"outputs": [7]} if code == 200 else {"error": "no"}).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def stumbling():
    Stumbling.codes, Stumbling.seen = [], 0
    Stumbling.silent.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stumbling)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_overload_is_tried_again_and_other_errors_are_not(stumbling):
    Stumbling.codes = [503, 429]
    assert Client(stumbling, "m").predict({"x": [1]})["output"] == [7] and Stumbling.seen == 3
    Stumbling.codes, Stumbling.seen = [400], 0
    with pytest.raises(ServerError, match="400: no"):
        Client(stumbling, "m").predict({"x": [1]})
    assert Stumbling.seen == 1


def test_retries_end(stumbling):
    Stumbling.codes = [503] * 9
    with pytest.raises(ServerError, match="503"):
        Client(stumbling, "m", retries=2).predict({"x": [1]})
    assert Stumbling.seen == 3


def test_a_deadline_ends_a_call(stumbling):
    Stumbling.silent.set()
    with pytest.raises(Unavailable, match="within 0.2 s"):
        Client(stumbling, "m", deadline=0.2).predict({"x": [1]})
    assert Stumbling.seen == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "127.0.0.1:9"])
def test_a_server_that_is_not_there_is_unavailable(address):
    with pytest.raises(Unavailable, match="Is the server running"):
        Client(address, "m", retries=1, deadline=5).predict({"x": [1]})


@pytest.mark.parametrize(
    ("address", "arguments"),
    [("ftp://x", {}), ("http://", {}), ("http://x", {"version": 1, "label": "a"}), ("http://x", {"deadline": 0})],
)
def test_what_a_client_cannot_be_made_of(address, arguments):
    with pytest.raises(InvalidInput, match="Expected"):
        Client(address, "m", **arguments)
