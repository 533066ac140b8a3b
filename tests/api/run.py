#!/usr/bin/env python3
"""The API over real sockets and a real catalog.   run.py SOSIE"""
import base64
import json
import pathlib
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import (MODEL, OWN_ASPECTS, Server, Shop, garment, need_shared,  # noqa: E402
                     png, run_all, with_metadata)

SOSIE = sys.argv[1]
shop = Shop(SOSIE)
shop.index()
server = Server(shop.sosie, shop.catalog)


def error_of(answer, status, *words):
    code, headers, body = answer
    assert code == status, f"{code}, expected {status}: {body[:300]}"
    assert headers["Content-Type"] == "application/json", headers["Content-Type"]
    error = json.loads(body)["error"]
    assert set(error) == {"code", "message", "request_id"}, error
    for word in words:
        assert word in error["message"], error
    return error


def ok(answer):
    code, _, body = answer
    assert code == 200, f"{code}: {body[:300]}"
    return json.loads(body)


PHOTO = garment("red", 3)


# ---- the original's API ------------------------------------------------------

def the_originals_client_works_unchanged():
    hits = ok(server.post("/process_image", {
        "filepath": ("coat.png", PHOTO),
        "setting": json.dumps({"output_limit": 12, "on_cnn": True})}))
    assert len(hits) == 6  # all of the class that is predicted
    assert hits[0]["class"] == "red" and hits[0]["path"] == "3.png"
    everything = ok(server.post("/process_image", {
        "filepath": ("coat.png", PHOTO),
        "setting": json.dumps({"output_limit": 12, "on_cnn": False})}))
    assert len(everything) == 12
    for hit in everything:
        path = f"/static/img/{urllib.parse.quote(hit['class'])}/{urllib.parse.quote(hit['path'])}"
        code, headers, body = server.request("GET", path)
        assert code == 200 and headers["Content-Type"] == "image/png"
        assert body == (shop.photos / hit["class"] / hit["path"]).read_bytes()
    assert len(ok(server.post("/process_image", {"filepath": ("a", PHOTO)}))) == 6


def settings_that_are_none_are_refused():
    def answer(setting):
        return server.post("/process_image", {"filepath": ("a.png", PHOTO), "setting": setting})
    error_of(answer("not json"), 400, "setting")
    error_of(answer("[1]"), 400, "setting")
    error_of(answer('{"output_limit": -1}'), 422, "-1", "500")
    error_of(answer('{"output_limit": 501}'), 422, "501", "500")
    error_of(answer('{"output_limit": "x"}'), 400, "output_limit")
    error_of(answer('{"on_cnn": "yes"}'), 400, "on_cnn")
    assert ok(answer('{"output_limit": 0}')) == []
    assert len(ok(answer('{"output_limit": 500, "on_cnn": false}'))) == 18


def a_missing_part_is_named():
    error_of(server.post("/process_image", {"setting": "{}"}), 400, "filepath")
    error_of(server.post("/v1/search", {"limit": "3"}), 400, "image")


def photos_beyond_the_catalog_are_not_served():
    (shop.photos / "red/secret.txt").write_text("a secret")
    for path in ("/static/img/red/../blue/1.png", "/static/img/red/%2e%2e/blue/1.png",
                 "/static/img/../photos/red/1.png", "/static/img/red/secret.txt",
                 "/static/img/red/..%2f..%2f..%2f..%2fetc%2fpasswd", "/static/img/red/",
                 "/static/img//red/1.png", "/static/img/red/1.png%00.jpg", "/static/img/red"):
        code, _, body = server.request("GET", path)
        assert code in (400, 404), f"{path}: {code}"
        assert b"a secret" not in body and b"root:" not in body, (path, body)
    code, headers, _ = server.request("HEAD", "/static/img/red/1.png")
    assert code == 200 and int(headers["Content-Length"]) > 0
    code, _, body = server.request("GET", "/static/img/red/1.png",
                                   headers={"If-None-Match": headers["ETag"]})
    assert code == 304 and body == b""


# ---- /v1/search --------------------------------------------------------------

def a_photo_comes_as_a_part_a_body_or_json():
    body = ok(server.post("/v1/search", {"image": ("a.png", PHOTO), "limit": "3"}))
    assert set(body) == {"classes", "hits", "exact", "next", "took_ms", "request_id"}
    hit = body["hits"][0]
    assert (hit["id"], hit["path"], hit["class"], hit["score"]) == ("red/3.png", "3.png", "red", 1)
    assert set(hit["aspects"]) == {"shape", "colour"} and hit["fields"] == {}
    assert len(body["hits"]) == 3 and body["exact"] is True and body["next"] is None
    assert body["classes"][0]["class"] == "red" and body["classes"][0]["probability"] > 0.9
    raw = ok(server.request("POST", "/v1/search?limit=3", PHOTO, {"Content-Type": "image/png"}))
    assert raw["hits"] == body["hits"]
    sent = json.dumps({"image_base64": base64.b64encode(PHOTO).decode(), "limit": 3})
    assert ok(server.request("POST", "/v1/search", sent,
                             {"Content-Type": "application/json"}))["hits"] == body["hits"]


def fields_narrow_and_weigh_the_search():
    def hits(**fields):
        return ok(server.post("/v1/search", {"image": ("a.png", PHOTO), **fields}))["hits"]
    assert {h["class"] for h in hits(**{"class": "blue"})} == {"blue"}
    assert {h["class"] for h in hits(within_predicted="true")} == {"red"}
    best = hits(weights='{"colour": 1}', limit="6")
    assert {h["class"] for h in best} == {"red"}
    assert hits(crop='{"x":0,"y":0,"w":1,"h":1}')[0]["score"] == 1
    item = ok(server.post("/v1/search", {"item": "red/3.png"}))["hits"]
    assert item[0]["id"] != "red/3.png" and len(item) == 12


def fields_that_are_wrong_are_named():
    def answer(**fields):
        return server.post("/v1/search", {"image": ("a.png", PHOTO), **fields})
    error_of(answer(limit="-1"), 422, "-1")
    error_of(answer(limit="501"), 422, "501", "500")
    error_of(answer(limit="x"), 400, "limit")
    error_of(answer(weights="{"), 400, "weights")
    error_of(answer(weights='{"shape": -1}'), 422, "shape")
    error_of(answer(weights='{"taste": 1}'), 400, '"taste"', "aspects are shape and colour")
    error_of(answer(crop='{"x":0.5,"y":0,"w":0.6,"h":1}'), 422, "crop")
    error_of(answer(**{"class": "hat"}), 404, "hat")
    error_of(answer(smell="sweet"), 400, "smell")
    error_of(server.post("/v1/search", {"item": "red/99.png"}), 404, "red/99.png")


def bytes_that_are_no_photo_get_the_right_status():
    def answer(data):
        return server.post("/v1/search", {"image": ("a.jpg", data)})
    error_of(answer(b"just text"), 415, "looks like text", "expected JPEG, PNG or WebP")
    error_of(answer(b"GIF89a" + bytes(100)), 415, "looks like GIF")
    error_of(answer(PHOTO[:len(PHOTO) // 2]), 422, "truncated")
    error_of(answer(b""), 400, "empty")
    error_of(answer(b"\xff\xd8\xff" + bytes(11 << 20)), 413, "at most", "10 MiB")
    huge = PHOTO[:16] + (20000).to_bytes(4, "big") * 2 + PHOTO[24:]
    error_of(answer(huge), 422, "400.0 megapixels", "40.0")
    # What failed has not hurt the server.
    assert ok(answer(PHOTO))["hits"][0]["id"] == "red/3.png"


# ---- the rest ----------------------------------------------------------------

def health_readiness_and_wrong_addresses():
    assert server.request("GET", "/healthz")[0] == 200
    ready = ok(server.request("GET", "/readyz"))
    assert ready["items"] == 18 and ready["classes"] == 3
    stats = ok(server.request("GET", "/v1/stats"))
    assert stats["items"] == 18 and stats["precision"] in ("f32", "bf16"), stats
    assert stats["classes_by"] == "labels", stats
    assert stats["aspects"] == [{"name": "shape", "dim": 320, "weight": 1.0, "degree": 1},
                                {"name": "colour", "dim": 64, "weight": 0.55, "degree": 1}]
    error_of(server.request("GET", "/v1/search"), 405)
    error_of(server.request("DELETE", "/v1/search"), 405)
    error_of(server.request("POST", "/v1/nothing"), 404)


def the_page_comes_with_a_strict_policy():
    code, headers, body = server.request("GET", "/")
    assert code == 200 and headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert b"Sosie" in body


def many_clients_at_once_get_the_same_answer():
    expected = ok(server.post("/v1/search", {"image": ("a.png", PHOTO)}))["hits"]
    failures = []

    def client():
        for _ in range(20):
            code, _, body = server.post("/v1/search", {"image": ("a.png", PHOTO)})
            if code == 200 and json.loads(body)["hits"] != expected or code not in (200, 503):
                failures.append((code, body[:200]))

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]


def a_models_own_aspects_are_weighed_and_told():
    with Shop(SOSIE) as own:
        model = own.folder / "own.onnx"
        model.write_bytes(with_metadata(MODEL.read_bytes(), OWN_ASPECTS))
        own.run("index", own.catalog, own.photos, "--model", model)
        with Server(own.sosie, own.catalog) as other:
            stats = ok(other.request("GET", "/v1/stats"))
            assert [a["name"] for a in stats["aspects"]] == ["shape", "colour", "kind"]
            assert [a["weight"] for a in stats["aspects"]] == [1, 0.6, 0.4]
            hits = ok(other.post("/v1/search", {
                "item": "red/1.png", "weights": '{"kind": 2}'}))["hits"]
            for hit in hits:
                assert hit["score"] == hit["aspects"]["kind"], hit
            error_of(other.post("/v1/search", {"item": "red/1.png", "weights": "taste=1"}), 400,
                     "shape, colour and kind")


def a_head_that_is_fitted_while_serving_predicts():
    with Shop(SOSIE, 20) as own:
        own.index()
        with Server(own.sosie, own.catalog) as other:
            own.run("train", "--head-only", own.catalog)
            time.sleep(0.3)
            assert ok(other.request("GET", "/v1/stats"))["classes_by"] == "head"
            body = ok(other.post("/v1/search", {"image": ("a.png", PHOTO)}))
            assert body["classes"][0]["class"] == "red", body["classes"]


def what_is_indexed_while_serving_is_found():
    new = png(48, 48, lambda x, y: (40, 70, 210) if (x - 20) ** 2 + (y - 20) ** 2 < 200 else (255,) * 3)
    (shop.photos / "blue/new.png").write_bytes(new)
    shop.index()
    time.sleep(0.3)
    hits = ok(server.post("/v1/search", {"image": ("a.png", new)}))["hits"]
    assert hits[0]["id"] == "blue/new.png" and hits[0]["score"] == 1


def real_photos_come_back_byte_for_byte():
    photos = need_shared("data/photos/images")
    model = need_shared("models/mobilenet_v2_imagenet.onnx")
    with Shop(SOSIE, 0) as real:
        feed = real.folder / "some.csv"
        rows = (photos.parent / "images.csv").read_text().splitlines()
        feed.write_text("\n".join(rows[:101]) + "\n")
        real.run("index", real.catalog, feed, "--images", photos.parent, "--model", model,
                 "--map", "id=id,image=file,class=label")
        with Server(real.sosie, real.catalog) as own:
            photo = (photos.parent / rows[50].split(",")[1]).read_bytes()
            hits = ok(own.post("/process_image", {
                "filepath": ("photo.jpg", photo), "setting": '{"output_limit":12,"on_cnn":false}'}))
            assert len(hits) == 12 and hits[0]["id"] == rows[50].split(",")[0]
            for hit in hits:
                path = "/static/img/" + urllib.parse.quote(f"{hit['class']}/{hit['path']}")
                code, _, body = own.request("GET", path)
                assert code == 200 and body == (photos.parent / hit["path"]).read_bytes()


if __name__ == "__main__":
    try:
        code = run_all([
            the_originals_client_works_unchanged, settings_that_are_none_are_refused,
            a_missing_part_is_named, photos_beyond_the_catalog_are_not_served,
            a_photo_comes_as_a_part_a_body_or_json, fields_narrow_and_weigh_the_search,
            fields_that_are_wrong_are_named, bytes_that_are_no_photo_get_the_right_status,
            health_readiness_and_wrong_addresses, the_page_comes_with_a_strict_policy,
            many_clients_at_once_get_the_same_answer,
            a_models_own_aspects_are_weighed_and_told,
            a_head_that_is_fitted_while_serving_predicts, what_is_indexed_while_serving_is_found,
            real_photos_come_back_byte_for_byte])
        server.__exit__()
    finally:
        server.process.kill()
        shop.__exit__()
    sys.exit(code)
