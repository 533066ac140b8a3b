// The pure parts of the page.
import { describe, expect, it } from "vitest";
import { formOf, type Hit, photoUrl, refusal, type Wishes } from "./api";
import { fitted } from "./photo";
import { fractions } from "./Query";
import { clampLimit, DEFAULTS, parseSettings, usualWeights, weightsFor } from "./settings";
import { detailsOf, nameOf, percent } from "./text";

const wishes: Wishes = { limit: 12, cnn: true, weights: null, chosen: null, crop: null };
const hit: Hit = { id: "7", path: "a b/ü#1.jpg", class: "T-Shirt & Co/x", score: 1, aspects: { shape: 1, colour: 1 }, fields: {} };

describe("what is sent", () => {
  it("encodes each part of a photo's address", () => {
    expect(photoUrl(hit)).toBe("/static/img/T-Shirt%20%26%20Co%2Fx/a%20b/%C3%BC%231.jpg");
  });
  it("asks for the predicted class unless one was chosen", () => {
    expect(formOf("7", wishes).get("within_predicted")).toBe("true");
    const chosen = formOf("7", { ...wishes, chosen: "Hat" });
    expect(chosen.get("class")).toBe("Hat");
    expect(chosen.has("within_predicted")).toBe(false);
    expect(chosen.get("item")).toBe("7");
  });
  it("leaves the weights to the server until a slider was moved", () => {
    expect(formOf("7", wishes).has("weights")).toBe(false);
    expect(formOf("7", { ...wishes, weights: { shape: 0.75, kind: 0.25 } }).get("weights")).toBe('{"shape":0.75,"kind":0.25}');
  });
  it("crops photos, and no items", () => {
    const crop = { x: 0, y: 0.25, w: 0.5, h: 0.5 };
    expect(formOf(new Blob(["x"]), { ...wishes, crop }).get("crop")).toBe('{"x":0,"y":0.25,"w":0.5,"h":0.5}');
    expect(formOf("7", { ...wishes, crop }).has("crop")).toBe(false);
  });
  it("turns per cent into fractions that stay in the photo, and slips into none", () => {
    expect(fractions({ unit: "%", x: 50, y: 0, width: 50.004, height: 100 })).toEqual({ x: 0.5, y: 0, w: 0.5, h: 1 });
    expect(fractions({ unit: "%", x: 50, y: 0, width: 1, height: 100 })).toBeNull();
  });
});

describe("what is remembered", () => {
  it("survives anything that was stored", () => {
    expect(parseSettings(null)).toEqual(DEFAULTS);
    expect(parseSettings("{")).toEqual(DEFAULTS);
    expect(parseSettings('{"limit":9000,"cnn":"yes","weights":7}')).toEqual({ limit: 500, cnn: true, weights: null });
    const weights = { shape: 1, colour: 0.5 };
    expect(parseSettings('{"limit":3,"cnn":false,"weights":{"shape":1,"colour":0.5}}')).toEqual({ limit: 3, cnn: false, weights });
    for (const odd of ["[1]", '{"a":"1"}', '{"a":2}', '{"a":0}', "{}", "null"]) expect(parseSettings(`{"weights":${odd}}`)).toEqual(DEFAULTS);
  });
  it("keeps the count between 1 and 500", () => {
    expect([0, 1, 500, 501, 2.6, NaN].map(clampLimit)).toEqual([1, 1, 500, 500, 3, 12]);
  });
});

describe("the weights of aspects", () => {
  const aspects = [
    { name: "shape", weight: 2 },
    { name: "kind", weight: 0.5 },
  ];
  it("start where the server has them", () => {
    expect(usualWeights(aspects)).toEqual({ shape: 1, kind: 0.25 });
  });
  it("are forgotten where there are other aspects", () => {
    const weights = { shape: 1, kind: 0 };
    expect(weightsFor(aspects, weights)).toBe(weights);
    expect(weightsFor(aspects, { shape: 1, colour: 0 })).toBeNull();
    expect(weightsFor(aspects, { shape: 1 })).toBeNull();
    expect(weightsFor([], weights)).toBeNull();
  });
});

describe("what is shown", () => {
  it("never shows less than 0% or more than 100%", () => {
    expect([-0.3, 0.934, 1.0001].map(percent)).toEqual(["0%", "93%", "100%"]);
  });
  it("names an item by its title, else by its class", () => {
    const coat = { ...hit, class: "coat", fields: { title: " A warm one ", price: "79 EUR" } };
    expect([nameOf(coat), detailsOf(coat)]).toEqual(["A warm one", "coat · 79 EUR"]);
    expect([nameOf({ ...coat, fields: {} }), detailsOf({ ...coat, fields: {} })]).toEqual(["coat", ""]);
  });
  it("makes large photos small and leaves small ones", () => {
    expect(fitted(4000, 3000)).toEqual([1024, 768]);
    expect(fitted(100, 50)).toEqual([100, 50]);
    expect(fitted(100000, 10)).toEqual([1024, 1]);
  });
});

describe("what went wrong", () => {
  it("is the server's own words where it has some", () => {
    const told = refusal(415, { error: { code: "unsupported", message: "these are words" } }, null);
    expect([told.trouble, told.message]).toEqual(["refused", "these are words"]);
    expect(refusal(502, null, null).trouble).toBe("failed");
    expect(refusal(400, { error: { message: 7 } }, null).message).toMatch("400");
  });
  it("waits as long as a busy server wants, within reason", () => {
    expect(["5", "0", "later", "9999", null].map((wait) => refusal(503, null, wait).wait)).toEqual([5, 2, 2, 60, 2]);
  });
});
