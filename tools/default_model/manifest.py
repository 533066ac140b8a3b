#!/usr/bin/env python3
"""The data set that the default model is trained on, as one feed.

  tools/default_model/manifest.py DATA OUT.csv [--drawings FOLDER]

DATA holds two sets of real photos: `products/styles.csv` (a shop's product
photos with type, colour, gender and title) and `photos/images.csv` (phone
photos of garments with 17 kinds). Both keep their splits. FOLDER is what the
atelier drew: each design stands there in several colours. Paths are relative to
the root of the file system. Columns of the feed:

  class   about 50: the types that have 60 photos to train on; rarer ones go
          with what they are most like, or have none
  kind    the 17 of the phone photos
  color, gender, title   of the products
  group   the same picture or near it; of the phone photos: their sender
  product what has the same title but for its colour; the design of a drawing

Labels that one set has no word for are left empty there: training takes the
labels that a photo has. Where a kind is one of the classes, it is given both.
"""
import argparse
import collections
import csv
import itertools
import os
import re

AT_LEAST = 60  # photos to train on

# Rare types that are another one with a different name.
LIKE = {
    "Kurta Sets": "Kurtas", "Lounge Pants": "Track Pants",
    "Lounge Shorts": "Shorts", "Jeggings": "Leggings", "Boxers": "Trunk",
    "Camisoles": "Innerwear Vests", "Rain Jacket": "Jackets",
    "Nehru Jackets": "Blazers", "Waistcoat": "Blazers", "Churidar": "Leggings",
    "Salwar": "Patiala", "Hat": "Caps", "Mufflers": "Scarves",
    "Messenger Bag": "Laptop Bag", "Mobile Pouch": "Wallets",
    "Sports Sandals": "Sandals", "Booties": "Socks", "Stockings": "Leggings",
    "Tights": "Leggings", "Rompers": "Dresses", "Shrug": "Tops",
    "Jumpsuit": "Dresses", "Baby Dolls": "Nightdress", "Swimwear": "Bra",
    "Waist Pouch": "Handbags", "Tracksuits": "Track Pants",
}
KINDS = {
    "T-Shirt": "Tshirts", "Polo": "Tshirts", "Shirt": "Shirts",
    "Pants": "Trousers", "Shorts": "Shorts", "Dress": "Dresses",
    "Skirt": "Skirts", "Hat": "Caps", "Outwear": "Jackets",
    "Blazer": "Blazers", "Hoodie": "Sweatshirts", "Top": "Tops",
    "Blouse": "Tops", "Undershirt": "Innerwear Vests",
}

DRAWN = {
    "coat": "Jackets", "dress": "Dresses", "hood": "Sweatshirts",
    "jumper": "Sweaters", "shirt": "Shirts", "sweater": "Sweaters",
    "t-shirt": "Tshirts", "blouse": "Tops", "cardigan": "Sweaters",
    "jacket": "Jackets", "trousers": "Trousers", "jeans": "Jeans",
    "shorts": "Shorts", "skirt": "Skirts", "shoes": "Casual Shoes",
    "socks": "Socks", "bag": "Handbags", "backpack": "Backpacks",
    "cap": "Caps", "scarf": "Scarves",
}
COLOURS = {"navy": "Navy Blue", "light blue": "Blue", "mint": ""}
DRAWINGS = 1000  # photos, at most


def path(*parts):
    return os.path.relpath(os.path.join(*parts), "/")


def stem(row, colours):
    """What a title says but for colours, of one type and gender."""
    words = re.findall(r"[a-z0-9']+", row["productDisplayName"].lower())
    return (" ".join(w for w in words if w not in colours),
            row["articleType"], row["gender"])


def add_products(rows):
    """A product is what has one stem in 2 to 8 photos of nearly as many colours.
    Looser than `--variants`, which judges: of what is trained on alone."""
    colours = {w for row in rows for w in row["baseColour"].lower().split()}
    stems = collections.defaultdict(list)
    for row in rows:
        row["product"] = ""
        stems[stem(row, colours)].append(row)
    for number, like in enumerate(stems.values()):
        n_colours = len({row["baseColour"] for row in like})
        if 2 <= len(like) <= 8 and n_colours > 1 and n_colours >= 0.7 * len(like):
            for row in like:
                if row["split"] == "train":
                    row["product"] = f"P{number}"


def products(folder):
    with open(os.path.join(folder, "styles.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    add_products(rows)
    types = collections.Counter()
    for row in rows:
        row["class"] = LIKE.get(row["articleType"], row["articleType"])
        types[row["class"]] += row["split"] == "train"
    types["Blazers"] += AT_LEAST  # the phone photos have enough of them
    for row in rows:
        yield {
            "id": "products-" + row["id"],
            "image": path(folder, row["file"]),
            "split": row["split"],
            "group": "products-" + row["group"],
            "class": row["class"] if types[row["class"]] >= AT_LEAST else "",
            "kind": "",
            "color": "" if row["baseColour"] == "NA" else row["baseColour"],
            "gender": row["gender"],
            "title": row["productDisplayName"],
            "product": row["product"],
        }


def phone_photos(folder):
    with open(os.path.join(folder, "images.csv"), encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {
                "id": "photos-" + row["id"],
                "image": path(folder, row["file"]),
                "split": row["split"],
                "group": "photos-" + row["sender_id"],
                "class": KINDS.get(row["label"], ""),
                "kind": row["label"],
                "color": "", "gender": "", "title": "", "product": "",
            }


def drawings(folder):
    with open(os.path.join(folder, "feed.csv"), encoding="utf-8", newline="") as file:
        for row in itertools.islice(csv.DictReader(file), DRAWINGS):
            yield {
                "id": "drawings-" + row["id"],
                "image": path(folder, row["image_link"]),
                "split": "train", "group": "",
                "class": DRAWN.get(row["product_type"].split(" > ")[-1], ""),
                "kind": "",
                "color": COLOURS.get(row["color"], row["color"].capitalize()),
                "gender": "", "title": "", "product": row["item_group_id"],
            }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--drawings")
    args = parser.parse_args()
    rows = list(products(os.path.join(args.data, "products")))
    rows += phone_photos(os.path.join(args.data, "photos"))
    if args.drawings:
        rows += drawings(args.drawings)
    with open(args.out, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    classes = {row["class"] for row in rows} - {""}
    print(f"{len(rows)} photos, {len(classes)} classes")


if __name__ == "__main__":
    main()
