"""A few rows of our own in the exact syntax of each well-known log: file name to content."""

import json

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
