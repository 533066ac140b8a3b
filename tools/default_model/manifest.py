#!/usr/bin/env python3
"""The data set that the default model is trained on, as one feed.

  tools/default_model/manifest.py DATA OUT.csv

DATA holds two sets of real photos: `products/styles.csv` (a shop's product
photos with type, colour, gender and title) and `photos/images.csv` (phone
photos of garments with 17 kinds). Both keep their splits. Columns of the feed:

  class   about 50: the types that have 60 photos to train on; rarer ones go
          with what they are most like, or have none
  kind    the 17 of the phone photos
  color, gender, title   of the products
  group   the same picture or near it; of the phone photos: their sender

Labels that one set has no word for are left empty there: training takes the
labels that a photo has. Where a kind is one of the classes, it is given both.
"""
import argparse
import collections
import csv
import os

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


def products(folder):
    with open(os.path.join(folder, "styles.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    types = collections.Counter()
    for row in rows:
        row["class"] = LIKE.get(row["articleType"], row["articleType"])
        types[row["class"]] += row["split"] == "train"
    types["Blazers"] += AT_LEAST  # the phone photos have enough of them
    for row in rows:
        yield {
            "id": "products-" + row["id"],
            "image": os.path.join("products", row["file"]),
            "split": row["split"],
            "group": "products-" + row["group"],
            "class": row["class"] if types[row["class"]] >= AT_LEAST else "",
            "kind": "",
            "color": "" if row["baseColour"] == "NA" else row["baseColour"],
            "gender": row["gender"],
            "title": row["productDisplayName"],
        }


def phone_photos(folder):
    with open(os.path.join(folder, "images.csv"), encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {
                "id": "photos-" + row["id"],
                "image": os.path.join("photos", row["file"]),
                "split": row["split"],
                "group": "photos-" + row["sender_id"],
                "class": KINDS.get(row["label"], ""),
                "kind": row["label"],
                "color": "", "gender": "", "title": "",
            }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("data")
    parser.add_argument("out")
    args = parser.parse_args()
    rows = list(products(os.path.join(args.data, "products")))
    rows += phone_photos(os.path.join(args.data, "photos"))
    with open(args.out, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    classes = {row["class"] for row in rows} - {""}
    print(f"{len(rows)} photos, {len(classes)} classes")


if __name__ == "__main__":
    main()
