"""Each well-known log, a few rows of our own in its exact syntax, through `--as NAME`."""

import gzip
import json
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tfrec.data import prepare
from tfrec.data.readers import READERS, LogReader, ReadAs, read_as, reader_named
from tfrec.errors import InvalidInput

T = 1_300_000_000


def jsonl(*rows):
    return "\n".join(map(json.dumps, rows)) + "\n"


def python(*rows):
    return "\n".join(map(repr, rows)) + "\n"


def tabs(*rows):
    return "\n".join("\t".join(map(str, row)) for row in rows) + "\n"


def snowplow(**fields):
    from tfrec.data.readers.tools import SNOWPLOW

    return [fields.get(name, "") for name in SNOWPLOW]


GENRES_0 = "|0" * 19
SETS = {
    "movielens-100k": {
        "u.data": tabs(*(("196", 10 + i, 3 + i % 3, 881250949 + i) for i in range(4))),
        "u.item": (
            "10|Misérables, Les (1995)|01-Jan-1995||http://us.imdb.com/M|0|0|0|0|0|0|0|0|1|0|0|0|0|1|0|0|0|0|0\n"
            f'11|"Odd" Film (1996)|01-Jan-1996||http://us.imdb.com/N{GENRES_0}\n'
        ).encode("latin-1"),
    },
    "movielens-1m": {
        "ratings.dat": "".join(f"1::{10 + i}::5::{978300760 + i}\n" for i in range(4)),
        "movies.dat": "10::Misérables (1995)::Drama|Musical\n11::Toy (1995)::Animation\n".encode("latin-1"),
    },
    "movielens-latest": {
        "ratings.csv": "userId,movieId,rating,timestamp\r\n" + "".join(f"1,{10 + i},0.5,{T + i}\r\n" for i in range(4)),
        "movies.csv": 'movieId,title,genres\r\n10,"Film, A (1995)",Drama|War\r\n11,B (1996),(no genres listed)\r\n',
    },
    "amazon-2014": {
        "reviews_Toys.json.gz": jsonl(
            *(
                {
                    "reviewerID": "A1",
                    "asin": f"B{i}",
                    "overall": 5.0,
                    "unixReviewTime": T + i,
                    "reviewTime": "01 1, 2011",
                }
                for i in range(4)
            )
        ),
        "meta_Toys.json.gz": python(
            {
                "asin": "B0",
                "title": "It's a toy",
                "imUrl": "http://x/y.jpg",
                "categories": [["Toys", "Cars"], ["Toys"]],
            },
            {"asin": "B1", "description": "Red", "salesRank": {"Toys": 3}, "categories": [["Toys"]]},
        ),
    },
    "amazon-2018": {
        "Toys.json.gz": jsonl(
            *(
                {"reviewerID": "A1", "asin": f"B{i}", "overall": 5.0, "unixReviewTime": T + i, "vote": "1,234"}
                for i in range(4)
            )
        ),
        "meta_Toys.json.gz": jsonl(
            {
                "asin": "B0",
                "title": "Car",
                "category": ["Toys", "Cars"],
                "rank": [">#1 in Toys"],
                "description": ["Red"],
            },
            {"asin": "B1", "title": "var aPageStart = (new Date()).getTime();", "main_cat": "<img>", "category": []},
        ),
    },
    "amazon-2023": {
        "Toys.jsonl.gz": jsonl(
            *(
                {"rating": 5.0, "user_id": "A1", "asin": f"V{i}", "parent_asin": f"P{i}", "timestamp": (T + i) * 1000}
                for i in range(4)
            )
        ),
        "meta_Toys.jsonl.gz": jsonl(
            {
                "parent_asin": "P0",
                "title": "Car",
                "features": ["Fast"],
                "description": ["Red"],
                "price": 3.5,
                "details": {"Brand": "X"},
                "categories": ["Toys"],
                "store": "Shop",
                "main_category": "Toys",
            },
            {
                "parent_asin": "P1",
                "title": "Doll",
                "features": [],
                "description": [],
                "price": "from 14.99",
                "details": {},
                "categories": [],
                "store": None,
                "main_category": "Toys",
            },
        ),
    },
    "mind": {
        "behaviors.tsv": tabs(
            (1, "U1", "11/15/2019 12:05:00 AM", "N9 N8", "N1-0 N2-1"),
            (2, "U1", "11/15/2019 2:14:46 PM", "N9 N8", "N3-1"),
            (3, "U2", "11/16/2019 9:00:00 AM", "", "N1-1"),
            (4, "U2", "11/17/2019 9:00:00 AM", "", "N2-1"),
        ),
        "news.tsv": tabs(
            ("N1", "sports", "golf", '"Those who follow', "Golf is here", "https://a.b/c", "[]", '[{"Label": "Golf"}]'),
            ("N2", "news", "world", "Second thoughts", "", "https://a.b/d", "[]", "[]"),
        ),
    },
    "yelp": {
        "yelp_academic_dataset_review.json": jsonl(
            *(
                {
                    "review_id": f"r{i}",
                    "user_id": "u",
                    "business_id": f"b{i}",
                    "stars": 4.0,
                    "date": f"2018-07-0{i + 1} 22:09:11",
                }
                for i in range(4)
            )
        ),
        "yelp_academic_dataset_business.json": jsonl(
            {
                "business_id": "b0",
                "name": "Cafe",
                "city": "Reno",
                "categories": "Coffee, Tea",
                "attributes": {"WiFi": "u'free'"},
            },
            {"business_id": "b1", "name": "Bar", "city": "Reno", "categories": None, "attributes": None},
        ),
    },
    "steam": {
        "steam_reviews.json.gz": "".join(
            f"{{u'username': u'Ann', u'product_id': u'{i}', u'date': u'2017-12-1{i}', u'text': u'it\\'s good'}}\n"
            for i in range(4)
        ),
        "steam_games.json.gz": "{u'id': u'0', u'title': u'Half', u'genres': [u'Action'], u'price': u'Free to Play'}\n"
        "{u'id': u'1', u'app_name': u'Portal', u'genres': [u'Puzzle'], u'price': 4.99}\n",
    },
    "goodreads": {
        "goodreads_interactions_poetry.json.gz": jsonl(
            *(
                {
                    "user_id": "u",
                    "book_id": f"{i}",
                    "rating": i % 2 * 4,
                    "date_added": f"Sun Jul 30 07:4{i}:10 -0700 2017",
                    "date_updated": f"Sun Jul 30 07:4{i}:10 -0700 2017",
                    "is_read": True,
                }
                for i in range(4)
            )
        ),
        "goodreads_books_poetry.json.gz": jsonl(
            {
                "book_id": "0",
                "isbn": "0195153448",
                "title": "Odes",
                "description": "Poems",
                "text_reviews_count": "3",
                "popular_shelves": [{"count": "3", "name": "to-read"}],
                "publication_year": "1999",
                "image_url": "https://a/b.png",
            },
            {
                "book_id": "1",
                "isbn": "",
                "title": "1984",
                "description": "",
                "text_reviews_count": "1",
                "popular_shelves": [],
                "publication_year": "",
                "image_url": "https://a/c.png",
            },
        ),
    },
    "book-crossing": {
        "BX-Book-Ratings.csv": '"User-ID";"ISBN";"Book-Rating"\n'
        + "".join(f'"276725";"034545104{i}";"{i % 2 * 5}"\n' for i in range(4)),
        "BX-Books.csv": (
            '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-S"\n'
            '"0345451040";"\\"O\\" is for Outlaw; a novel &amp; more";"Café";"1999";"Press";"http://i/1.jpg"\n'
            '"0345451041";"Plain";"Ann";"2000";"Books";"http://i/2.jpg"\n'
        ).encode("cp1252"),
    },
    "lastfm-1k": {
        "userid-timestamp-artid-artname-traid-traname.tsv": tabs(
            *(
                (
                    "user_000001",
                    f"2009-05-0{i + 1}T23:08:57Z",
                    "" if i else "mb-0",
                    '"Weird Al" Yankovic' if i else "Deep",
                    "",
                    "Song",
                )
                for i in range(4)
            )
        ),
    },
    "lastfm-2k": {
        "user_artists.dat": tabs(("userID", "artistID", "weight"), *((2, 50 + i, 100 * i + 1) for i in range(4))),
        "artists.dat": tabs(
            ("id", "name", "url", "pictureURL"), (50, '"Weird Al" Yankovic', "http://a", "http://b.jpg")
        ),
    },
    "lastfm-360k": {
        "usersha1-artmbid-artname-plays.tsv": tabs(
            *(
                (
                    "00000c289a1829a808ac09c00daf10bc3c4e223b",
                    "3bd73256-3902-4f3a-8e6b" if i else "",
                    f"band {i}",
                    2137 - i,
                )
                for i in range(4)
            )
        ),
    },
    "retailrocket": {
        "events.csv": "timestamp,visitorid,event,itemid,transactionid\n"
        + "".join(
            f"{T + i}000,257597,{kind},{i},\n" for i, kind in enumerate(["view", "addtocart", "transaction", "view"])
        ),
        "item_properties_part1.csv": "timestamp,itemid,property,value\n1435460400000,0,categoryid,1338\n"
        "1435460400000,1,888,1116713 960601 n277.200\n",
        "item_properties_part2.csv": "timestamp,itemid,property,value\n1436065200000,0,categoryid,9\n",
    },
    "otto": {
        "train.jsonl": jsonl(
            {
                "session": 0,
                "events": [
                    {"aid": i, "ts": T * 1000 + i // 2, "type": k} for i, k in enumerate(["clicks", "carts", "orders"])
                ],
            },
        ),
    },
    "hm": {
        "transactions_train.csv": "t_dat,customer_id,article_id,price,sales_channel_id\n"
        + "".join(f"2018-09-2{i // 2},000058a1,010877501{i % 2},0.05,2\n" for i in (0, 0, 2, 5)),
        "articles.csv": "article_id,product_code,prod_name,product_type_name,colour_group_name,section_name,"
        "detail_desc\n0108775010,0108775,Strap top,Vest top,Black,Basics,Jersey top\n",
    },
    "yoochoose": {
        "yoochoose-clicks.dat": "".join(f"1,2014-04-07T10:5{i}:09.277Z,21453690{i},S\n" for i in range(3)),
        "yoochoose-buys.dat": "1,2014-04-07T11:51:09.277Z,214536900,1046,0\n1,2014-04-07T11:52:09.277Z,214536901,5,2\n",
    },
    "diginetica": {
        "train-item-views.csv": "sessionId;userId;itemId;timeframe;eventdate\n"
        + "".join(f"1;NA;{81766 + i};{526309 + i};2016-05-09\n" for i in range(3)),
        "train-purchases.csv": "sessionId;userId;timeframe;eventdate;ordernumber;itemId\n"
        "1;NA;13245633294;2016-05-09;7;81766\n",
    },
    "taobao": {
        "UserBehavior.csv": "".join(
            f"1,{2268318 + i},2520377,{k},{1511544070 + i}\n" for i, k in enumerate(["pv", "cart", "fav", "buy"])
        )
        + "1,5,2520377,pv,-2134949234\n",
    },
    "tenrec": {
        "QB-video.csv": "user_id,item_id,click,follow,like,share,video_category,watching_times,gender,age\n"
        "1,10,0,0,0,0,1,0,1,2\n1,11,1,0,1,0,1,3,1,2\n1,12,1,0,0,0,1,1,1,2\n1,13,1,0,0,0,1,1,1,2\n",
    },
    "kuairec": {
        "big_matrix.csv": "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio\n"
        + "".join(f"0,{i},100,200,2020-07-05 00:0{i}:00.1,20200705.0,{1593878900 + i}.438,0.5\n" for i in range(4))
        + "0,9,100,200,,,,0.5\n",
        "kuairec_caption_category.csv": "video_id,manual_cover_text,caption,topic_tag\n0,UNKNOWN,A cat sings,[cat]\n",
    },
    "netflix": {
        "combined_data_1.txt": "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n2:\n"
        "1488844,4,2005-09-07\n3:\n1488844,1,2005-09-08\n",
        "movie_titles.csv": (
            "1,2003,Dinosaur Planet\n2,NULL,At Home Among Strangers, A Stranger Among His Own\n3,1997,Café\n"
        ).encode("latin-1"),
    },
    "instacart": {
        "orders.csv": "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,days_since_prior_order\n"
        "7,1,prior,1,2,08,\n9,1,prior,2,3,07,15.0\n8,1,train,3,3,12,21.0\n",
        "order_products__prior.csv": "order_id,product_id,add_to_cart_order,reordered\n7,196,1,0\n9,14084,1,0\n",
        "order_products__train.csv": "order_id,product_id,add_to_cart_order,reordered\n8,196,1,1\n",
        "products.csv": "product_id,product_name,aisle_id,department_id\n196,Soda,77,7\n14084,Almond Milk,91,16\n",
    },
    "online-retail": {
        "Online Retail.csv": (
            "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
            "536365,85123A,WHITE HEART \xa3 HOLDER,6,12/1/10 8:26,2.55,17850,United Kingdom\n"
            "536366,22633,HAND WARMER,6,12/1/10 8:28,1.85,17850,United Kingdom\n"
            "C536379,22633,HAND WARMER,-1,12/13/10 9:41,1.85,17850,United Kingdom\n"
            "536367,84879,BIRD ORNAMENT,32,12/15/10 8:34,1.69,,United Kingdom\n"
        ).encode("cp1252"),
    },
    "recbole": {
        "shop.inter": tabs(
            ("user_id:token", "item_id:token", "rating:float", "timestamp:float"),
            *((1, 10 + i, 4, T + i) for i in range(4)),
        ),
        "shop.item": tabs(
            ("item_id:token", "movie_title:token_seq", "class:token_seq"), (10, 'The "Tea"', "Hot Green")
        ),
    },
    "ga4": {
        "events.json": jsonl(
            *(
                {
                    "event_date": "20231004",
                    "event_timestamp": f"169645245248{i}466",
                    "event_name": name,
                    "user_id": None,
                    "user_pseudo_id": "p1",
                    "items": [{"item_id": f"S{i}", "item_name": f"Shirt {i}"}, {"item_id": "H", "item_name": "Hat"}],
                    "event_params": [{"key": "ga_session_id", "value": {"int_value": "1"}}],
                }
                for i, name in enumerate(["view_item", "add_to_cart", "purchase"])
            ),
            {
                "event_date": "20231004",
                "event_timestamp": "1696452452489466",
                "event_name": "page_view",
                "user_id": None,
                "user_pseudo_id": "p1",
                "items": [],
                "event_params": [],
            },
        ),
    },
    "gcp-retail": {
        "user_events.json": jsonl(
            {"eventType": "home-page-view", "visitorId": "v", "eventTime": "2021-12-10T10:27:42.000Z"},
            *(
                {
                    "eventType": "detail-page-view",
                    "visitorId": "v",
                    "eventTime": f"2021-12-1{i}T10:27:42.000Z",
                    "productDetails": [{"product": {"id": f"G{i}"}, "quantity": 3}],
                }
                for i in range(3)
            ),
        ),
        "products.json": jsonl(
            {"id": "G0", "title": "Tea", "categories": ["Hot"]}, {"id": "G1", "title": "Pot", "categories": []}
        ),
    },
    "segment": {
        "track.json": jsonl(
            *(
                {
                    "anonymousId": "a",
                    "userId": None,
                    "event": name,
                    "timestamp": f"2023-01-0{i + 1}T00:00:00.000Z",
                    "properties": {"product_id": f"p{i}", "name": f"Tea {i}", "products": None},
                }
                for i, name in enumerate(["Product Viewed", "Product Added"])
            ),
            {
                "anonymousId": "a",
                "userId": None,
                "event": "Order Completed",
                "timestamp": "2023-01-04T00:00:00.000Z",
                "properties": {
                    "product_id": None,
                    "name": None,
                    "products": [{"product_id": "p0", "name": "Tea 0"}, {"product_id": "p9", "name": "Pot"}],
                },
            },
        ),
    },
    "snowplow": {
        "enriched.tsv": tabs(
            *(
                snowplow(
                    app_id="shop",
                    domain_userid="d1",
                    event_name="event",
                    event="struct",
                    se_action="view",
                    se_label=f"s{i}",
                    se_property=f"Tea {i}",
                    derived_tstamp=f"2023-01-0{i + 1} 10:00:00.123",
                )
                for i in range(3)
            ),
            snowplow(
                domain_userid="d1",
                event_name="transaction_item",
                event="transaction_item",
                ti_sku="s0",
                ti_name="Tea 0",
                derived_tstamp="2023-01-05 10:00:00.000",
            ),
        ),
    },
    "personalize": {
        "interactions.csv": "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,IMPRESSION\n"
        + "".join(f"1,{i},{T + i},{'Watch' if i % 2 else 'Click'},{i},1|2|3\n" for i in range(4)),
        "items.csv": "ITEM_ID,GENRES,CREATION_TIMESTAMP\n0,Drama|War,1500000000\n1,Comedy,1500000001\n",
    },
}
EXPECTED = {
    "movielens-100k": (["10", "11", "12", "13"], {"rating"}, "Misérables, Les (1995) Drama, Mystery"),
    "movielens-1m": (["10", "11", "12", "13"], {"rating"}, "Misérables (1995) Drama, Musical"),
    "movielens-latest": (["10", "11", "12", "13"], {"rating"}, "Film, A (1995) Drama, War"),
    "amazon-2014": (["B0", "B1", "B2", "B3"], {"rating"}, "It's a toy Toys, Cars"),
    "amazon-2018": (["B0", "B1", "B2", "B3"], {"rating"}, "Car Toys, Cars Red"),
    "amazon-2023": (["P0", "P1", "P2", "P3"], {"rating"}, "Car Shop Toys Toys Fast Red"),
    "mind": (
        ["N9", "N8", "N1", "N2", "N2", "N3", "N3"], {"click", "impression"},
        '"Those who follow sports golf Golf is here',
    ),
    "yelp": (["b0", "b1", "b2", "b3"], {"rating"}, "Cafe, Coffee, Tea, Reno"),
    "steam": (["0", "1", "2", "3"], {"interaction"}, "Half Action"),
    "goodreads": (["0", "1", "2", "3"], {"rating"}, "Odes Poems 1999"),
    "book-crossing": ([f"034545104{i}" for i in range(4)], {"rating"}, '"O" is for Outlaw; a novel & more Café Press'),
    "lastfm-1k": (["mb-0", *['"Weird Al" Yankovic'] * 3], {"view"}, '"Weird Al" Yankovic'),
    "lastfm-2k": (["50", "51", "52", "53"], {"view"}, '"Weird Al" Yankovic'),
    "lastfm-360k": (["band 0", *["3bd73256-3902-4f3a-8e6b"] * 3], {"view"}, "band 1"),
    "retailrocket": (["0", "1", "2", "3"], {"view", "cart", "purchase"}, "1116713 960601 n277.200"),
    "otto": (["0", "1", "2"], {"click", "cart", "purchase"}, ""),
    "hm": (
        ["0108775010", "0108775010", "0108775010", "0108775011"], {"purchase"},
        "Strap top, Vest top, Black, Basics. Jersey top",
    ),
    "yoochoose": (["214536900", "214536901", "214536902", "214536900", "214536901"], {"click", "purchase"}, ""),
    "diginetica": (["81766", "81767", "81768", "81766"], {"view", "purchase"}, ""),
    "taobao": (["2268318", "2268319", "2268320", "2268321"], {"view", "cart", "favourite", "purchase"}, ""),
    "tenrec": (["10", "11", "11", "12", "13"], {"impression", "click", "like"}, ""),
    "kuairec": (["0", "1", "2", "3"], {"view"}, "UNKNOWN A cat sings [cat]"),
    "netflix": (["1", "2", "3"], {"rating"}, "Dinosaur Planet 2003"),
    "instacart": (["196", "14084", "196"], {"purchase"}, "Soda"),
    "online-retail": (["85123A", "22633", "22633"], {"purchase"}, "WHITE HEART £ HOLDER"),
    "recbole": (["10", "11", "12", "13"], {"interaction"}, 'The "Tea" Hot Green'),
    "ga4": (["H", "S0", "H", "S1", "H", "S2"], {"view", "cart", "purchase"}, "Hat"),
    "gcp-retail": (["G0", "G1", "G2"], {"view"}, "Tea Hot"),
    "segment": (["p0", "p1", "p0", "p9"], {"view", "cart", "purchase"}, "Tea 0"),
    "snowplow": (["s0", "s1", "s2", "s0"], {"view", "purchase"}, "Tea 0"),
    "personalize": (["0", "1", "2", "3"], {"click", "view"}, "Drama|War"),
}  # fmt: skip


def write(folder: Path, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return folder


def first_user(dataset):
    h = dataset.histories()
    rows = max((h.row(user) for user in range(len(h))), key=lambda row: row.stop - row.start)
    return [str(dataset.item_ids[item]) for item in h.items[rows]]


def test_every_reader_has_rows_here():
    assert set(SETS) == set(EXPECTED) == set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_a_log_as_downloaded(tmp_path, name):
    dataset = prepare(write(tmp_path / "raw", SETS[name]), None, tmp_path / "d", reader=name, split="leave-one-out")
    items, kinds, text = EXPECTED[name]
    found = first_user(dataset)
    if name in ("otto", "ga4", "segment", "tenrec", "mind"):  # ties in time have no order of their own
        assert sorted(found) == sorted(items)
    else:
        assert found == items
    assert set(dataset.event_kinds) == kinds
    assert text in dataset.texts


def day(microseconds):
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat()


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("movielens-100k", "1997-12-04T15:55:49+00:00", "1997-12-04T15:55:52+00:00"),
        ("mind", "2019-11-15T00:04:58+00:00", "2019-11-17T09:00:00+00:00"),
        ("goodreads", "2017-07-30T14:40:10+00:00", "2017-07-30T14:43:10+00:00"),
        ("amazon-2023", "2011-03-13T07:06:40+00:00", "2011-03-13T07:06:43+00:00"),
        ("online-retail", "2010-12-01T08:26:00+00:00", "2010-12-13T09:41:00+00:00"),
        ("diginetica", "2016-05-09T00:08:46.309000+00:00", "2016-10-09T07:20:33.294000+00:00"),
        ("taobao", "2017-11-24T17:21:10+00:00", "2017-11-24T17:21:13+00:00"),
        ("ga4", "2023-10-04T20:47:32.480466+00:00", "2023-10-04T20:47:32.482466+00:00"),
        ("kuairec", "2020-07-04T16:08:20.438000+00:00", "2020-07-04T16:08:23.438000+00:00"),
    ],
)
def test_times_of_a_log_as_downloaded(tmp_path, name, first, last):
    dataset = prepare(write(tmp_path / "raw", SETS[name]), None, tmp_path / "d", reader=name, split="leave-one-out")
    stamps = dataset.histories().timestamps
    assert (day(stamps.min()), day(stamps.max())) == (first, last)


def test_what_is_no_target_is_none(tmp_path):
    for name, kinds in (("mind", {"click"}), ("tenrec", {"click", "like"})):
        dataset = prepare(
            write(tmp_path / name, SETS[name]), None, tmp_path / f"d-{name}", reader=name, split="leave-one-out"
        )
        h = dataset.histories()
        assert {dataset.event_kinds[e] for e, target in zip(h.events, h.is_target) if target} == kinds
    retail = prepare(
        write(tmp_path / "r", SETS["online-retail"]),
        None,
        tmp_path / "d",
        reader="online-retail",
        split="leave-one-out",
    )
    assert retail.histories().is_target.tolist() == [True, True, False]  # the last is a return
    for name in ("goodreads", "book-crossing"):  # 0 means not rated
        dataset = prepare(
            write(tmp_path / name, SETS[name]), None, tmp_path / f"d-{name}", reader=name, split="leave-one-out"
        )
        assert dataset.histories().is_target.all()


def test_files_archives_and_options_of_ones_own(tmp_path):
    folder = write(tmp_path / "raw", SETS["movielens-latest"])
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"ml-latest/{file.name}")
    prepare(folder, None, tmp_path / "a", reader="movielens-latest")
    prepare(tmp_path / "ml.zip", None, tmp_path / "b", reader="movielens-latest")
    prepare(str(folder / "ratings.csv"), folder / "movies.csv", tmp_path / "c", reader="movielens-latest")
    wanted = [(tmp_path / name / "items.parquet").read_bytes() for name in "abc"]
    assert wanted[0] == wanted[1] == wanted[2]
    own = {"data.positive": 3, "data.text_template": "{title}", "data.default_event": "like"}
    other = prepare(folder, None, tmp_path / "e", reader="movielens-latest", config={**own, "data.positive": 0.1})
    assert other.texts[0] == "Film, A (1995)" and other.event_kinds == ["like"]


def test_a_reader_is_a_table_and_an_unknown_one_is_answered_with_the_nearest(tmp_path):
    reader = reader_named("mind")
    assert isinstance(reader, LogReader) and reader.events == ("behaviors.tsv",)
    with pytest.raises(InvalidInput, match="Did you mean goodreads?"):
        reader_named("good-reads")
    (tmp_path / "x.txt").write_text("x")
    from tfrec.config import RunConfig

    with pytest.raises(InvalidInput, match="holds none of"):
        read_as(reader, tmp_path, None, RunConfig())
    known = read_as(reader_named("otto"), write(tmp_path / "o", SETS["otto"]), None, RunConfig())
    assert isinstance(known, ReadAs) and known.items is None


def test_the_command_line_lists_the_readers(capsys):
    from typer.testing import CliRunner

    from tfrec.cli.main import app

    out = CliRunner().invoke(app, ["prepare", "--as", "list"]).output
    assert all(
        re.search(rf"^{re.escape(name)}  ", out.replace("   ", "  "), re.MULTILINE) or name in out for name in READERS
    )
