"""What tools write: RecBole, Google Analytics 4, Google Cloud Retail, Segment, Snowplow, Amazon Personalize.

RecBole: `name:type` in the header, which is dropped; converted copies carry the errors of the converter (its MIND has
noon and midnight exchanged).
GA4: in JSON, whole numbers are text; `user_id` is mostly null beside `user_pseudo_id`; only events with items count
(https://developers.google.com/analytics/bigquery/event-schema).
GCP Retail: `productDetails` is a list in the API and an object in Google's own sample; both are read.
Segment: `userId`, else `anonymousId`; a product in `properties` or a list of them.
Snowplow: the 131 columns of the enriched event, tabs, no header; items are those of e-commerce transactions, else the
label of a structured event (https://docs.snowplow.io/docs/fundamentals/canonical-event/).
Personalize: kinds in any case; `data.events.impressions=IMPRESSION` reads what was shown.
"""

from __future__ import annotations

from tfrec.data.readers.log_reader import LogReader

SNOWPLOW = """app_id platform etl_tstamp collector_tstamp dvce_created_tstamp event event_id txn_id name_tracker
v_tracker
v_collector v_etl user_id user_ipaddress user_fingerprint domain_userid domain_sessionidx network_userid geo_country
geo_region geo_city geo_zipcode geo_latitude geo_longitude geo_region_name ip_isp ip_organization ip_domain ip_netspeed
page_url page_title page_referrer page_urlscheme page_urlhost page_urlport page_urlpath page_urlquery page_urlfragment
refr_urlscheme refr_urlhost refr_urlport refr_urlpath refr_urlquery refr_urlfragment refr_medium refr_source refr_term
mkt_medium mkt_source mkt_term mkt_content mkt_campaign contexts se_category se_action se_label se_property se_value
unstruct_event tr_orderid tr_affiliation tr_total tr_tax tr_shipping tr_city tr_state tr_country ti_orderid ti_sku
ti_name
ti_category ti_price ti_quantity pp_xoffset_min pp_xoffset_max pp_yoffset_min pp_yoffset_max useragent br_name br_family
br_version br_type br_renderengine br_lang br_features_pdf br_features_flash br_features_java br_features_director
br_features_quicktime br_features_realplayer br_features_windowsmedia br_features_gears br_features_silverlight
br_cookies
br_colordepth br_viewwidth br_viewheight os_name os_family os_manufacturer os_timezone dvce_type dvce_ismobile
dvce_screenwidth dvce_screenheight doc_charset doc_width doc_height tr_currency tr_total_base tr_tax_base
tr_shipping_base
ti_currency ti_price_base base_currency geo_timezone mkt_clickid mkt_network etl_tags dvce_sent_tstamp
refr_domain_userid
refr_device_tstamp derived_contexts domain_sessionid derived_tstamp event_vendor event_name event_format event_version
event_fingerprint true_tstamp""".split()

READERS = (
    LogReader(
        "recbole",
        "NAME.inter and NAME.item (tabs, name:type in the header).",
        ("*.inter",),
        ("*.item",),
        {"columns": {"value": "rating", "title": "movie_title"}},
    ),
    LogReader(
        "ga4",
        "the BigQuery export of Google Analytics 4, as JSON lines or Parquet; items come from the events.",
        ("*.json*", "*.parquet"),
        options={
            "item_columns": ["item_name", "item_brand", "item_category"],
            "events": {
                "columns": {
                    "user_id": "user_id|user_pseudo_id",
                    "item_id": "items[].item_id",
                    "event": "event_name",
                    "timestamp": "event_timestamp",
                    "item_name": "items[].item_name",
                    "item_brand": "items[].item_brand",
                    "item_category": "items[].item_category",
                }
            },
        },
    ),
    LogReader(
        "gcp-retail",
        "user events and products of Google Cloud Retail, as JSON lines.",
        ("*event*.json*",),
        ("*product*.json*", "*catalog*.json*"),
        {
            "events": {
                "columns": {
                    "user_id": "visitorId",
                    "item_id": "productDetails[].product.id",
                    "event": "eventType",
                    "timestamp": "eventTime",
                }
            },
            "items": {"columns": {"item_id": "id"}},
        },
    ),
    LogReader(
        "segment",
        "track calls of Segment as JSON lines; a product or a list of products in properties.",
        ("*.json*",),
        options={
            "events": {
                "columns": {
                    "user_id": "userId|anonymousId",
                    "item_id": "properties.products[].product_id|properties.product_id",
                    "timestamp": "timestamp|originalTimestamp|sentAt",
                    "name": "properties.products[].name|properties.name",
                }
            },
            "item_columns": ["name"],
        },
    ),
    LogReader(
        "snowplow",
        "enriched events (131 columns, tabs, no header).",
        ("*.tsv*", "part-*"),
        options={
            "event_map": {"transaction_item": "purchase"},
            "item_columns": ["name"],
            "events": {
                "names": SNOWPLOW,
                "separator": "\t",
                "columns": {
                    "user_id": "user_id|domain_userid|network_userid",
                    "item_id": "ti_sku|se_label",
                    "event": "se_action|event_name|event",
                    "timestamp": "derived_tstamp|collector_tstamp",
                    "name": "ti_name|se_property",
                },
            },
        },
    ),
    LogReader(
        "personalize",
        "interactions.csv and items.csv of Amazon Personalize.",
        ("*interactions*.csv",),
        ("*items*.csv",),
        {"columns": {"event": "EVENT_TYPE", "value": "EVENT_VALUE"}},
    ),
)
