//! The fuzz targets' own checks, without a fuzzer: over the collections of hostile input, and over damaged copies of them
//! from a fixed seed. `fuzz/` runs the same checks on what a fuzzer makes up.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "fuzzing/batch.rs"]
mod batch;
#[expect(dead_code, unused_imports, reason = "the targets use what reads a file")]
#[path = "../src/config/mod.rs"]
mod config;
#[path = "fuzzing/kraken.rs"]
mod kraken;
#[expect(dead_code, reason = "only the check of a filter is used")]
#[path = "../src/log.rs"]
mod log;
#[path = "fuzzing/mutate.rs"]
mod mutate;
#[path = "fuzzing/names.rs"]
mod names;
#[path = "fuzzing/native.rs"]
mod native;
#[path = "fuzzing/rows.rs"]
mod rows;
#[path = "fuzzing/settings.rs"]
mod settings;
#[path = "fuzzing/socketio.rs"]
mod socketio;
#[expect(dead_code, reason = "only the collections are read")]
mod support;
#[path = "fuzzing/tokens.rs"]
mod tokens;

use mutate::mutated;
use support::collections::{json_cases, naughty_strings, raw_requests};
use tapeline_core::testkit::Rng;

/// Every text of the collections, and these.
fn seeds(own: &[&str]) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = json_cases().into_iter().map(|case| case.bytes).collect();
    seeds.extend(naughty_strings().into_iter().map(String::into_bytes));
    seeds.extend(raw_requests().into_iter().map(|case| case.bytes));
    seeds.extend(own.iter().map(|text| text.as_bytes().to_vec()));
    seeds
}

/// Runs a check over the seeds and over damaged copies: of the check's own ones as many as of all others.
fn run(own: &[&str], damaged: usize, check: fn(&[u8])) {
    let seeds = seeds(own);
    let try_one = |input: &[u8]| {
        if std::panic::catch_unwind(|| check(input)).is_err() {
            panic!("this input broke it: {:?}", String::from_utf8_lossy(input));
        }
    };
    for seed in &seeds {
        try_one(seed);
    }
    let mut rng = Rng::new(14);
    for round in 0..damaged {
        let of = if round % 2 == 0 { &seeds[seeds.len() - own.len()..] } else { &seeds[..] };
        let (input, other) = (rng.pick(of).expect("there is one"), rng.pick(&seeds).expect("there is one"));
        try_one(&mutated(&mut rng, input, other));
    }
}

/// Frames of a client, some in a row.
const FRAMES: &[&str] = &[
    r#"{"action":"subscribe","channel":"market_data:AAPL","since":{"offset":4,"epoch":"k"},"max_rate":10,"req":7}"#,
    r#"{"action":"subscribe","pattern":"t[a-z]*","since":{"a":{"offset":1},"time":"2026-01-01T00:00:00Z"}}"#,
    r#"{"action":"subscribe","channels":["a","trades","b:c"],"delivery":"every","req":{"a":[1,"\u0000"]}}"#,
    r#"{"action":"publish","channel":"a","type":"t","data":{"a":[1.50,"é"]},"correlation_id":"c","idempotency_key":"k","req":1}"#,
    r#"{"action":"publish","channel":"positions:p","data":{"rows":[{"symbol":"A"},{"symbol":"B","removed":true}],"snapshot":true}}"#,
    r#"{"action":"history","channel":"a","since":3,"limit":10,"req":"r"}"#,
    r#"{"action":"last","symbol":"AAPL"}"#,
    r#"{"action":"unsubscribe","all":true}"#,
    r#"{"action":"list"}"#,
    r#"{"action":"ping","req":null}"#,
];

#[test]
fn no_text_breaks_a_shard_or_makes_it_say_what_is_no_json() {
    run(FRAMES, 3_000, native::check);
    // Conversations: what one frame begins, another may break.
    run(FRAMES, 500, |input| {
        let mut all = Vec::new();
        for frame in FRAMES
            .iter()
            .map(|frame| frame.as_bytes())
            .chain([input])
            .chain(FRAMES.iter().map(|f| f.as_bytes()))
        {
            all.extend_from_slice(frame);
            all.push(0xff);
        }
        native::check(&all);
    });
}

/// Packets of a Socket.IO client, some in a row.
const PACKETS: &[&str] = &[
    r#"42["subscribe","market_data:AAPL"]"#,
    r#"421["subscribe",{"channel":"a","since":{"offset":4,"epoch":"k"},"max_rate":10,"delivery":"every"}]"#,
    r#"422["subscribe",["a","trades","b:c"]]"#,
    r#"423["publish",{"channel":"a","type":"disconnect","data":{"a":[1.50,"é"]},"correlation_id":"c"}]"#,
    r#"424["publish",{"channel":"positions:p","data":{"rows":[{"symbol":"A"}],"snapshot":true}}]"#,
    r#"425["history",{"channel":"a","since":3,"limit":10}]"#,
    r#"42["last","a"]"#,
    r#"427["list"]"#,
    r#"428["token","t"]"#,
    r#"429["unsubscribe",{"all":true}]"#,
    r#"452-10["publish",{"channel":"a","data":{"_placeholder":true,"num":0},"b":{"_placeholder":true,"num":1}}]"#,
    "4hello\u{1e}bAQIDBA==\u{1e}2probe",
    "42/admin,13[\"x\",{}]",
];

#[test]
fn no_packet_breaks_a_shard_or_makes_it_say_what_is_no_packet() {
    run(PACKETS, 3_000, socketio::check);
    // Conversations: what one packet begins, another may break.
    run(PACKETS, 500, |input| {
        let packets = || PACKETS.iter().map(|packet| packet.as_bytes());
        socketio::check(&packets().chain([input]).chain(packets()).collect::<Vec<_>>().join(&0xff));
    });
}

#[test]
fn no_body_breaks_a_publish_and_what_is_taken_are_the_bytes_that_came() {
    run(
        &[
            r#"{"channel":"a","data":{"x":1.50},"type":"t","correlation_id":"c","idempotency_key":"k"}"#,
            r#"[{"channel":"a","data":1},{"channel":"b","data":[null]},7]"#,
            "{\"channel\":\"a\",\"data\":1}\n{\"channel\":\"b\",\"data\":\"\\n\"}\n\n[]\n",
        ],
        4_000,
        batch::check,
    );
}

#[test]
fn no_text_breaks_names_and_patterns_match_as_the_model_does() {
    let own = ["market_data:*\0market_data:AAPL", "[^a-c]?*\\*[]\0dx*", "t[!x]*[a-\0ta", "*a*b*?\0aabb"];
    run(&own, 6_000, names::check);
}

#[test]
fn no_data_breaks_a_table_and_what_it_tells_is_json() {
    let own = [
        r#"{"rows":[{"id":1,"n":1.50},{"id":"b","removed":true}],"meta":{"c":7},"snapshot":true}"#,
        "{\"id\":1}\0{\"id\":2.0}\0{\"id\":2,\"removed\":true}\0{\"id\":null}",
        "[\"b\",66787.70,0.5]\0[\"b\",66787.7,0]\0{\"rows\":[[\"a\",1,2]],\"meta\":null}",
    ];
    run(&own, 4_000, rows::check);
}

/// Frames of Kraken: a book whose sums hold, what it was asked for, and others.
const VENUE: &[&str] = &[
    r#"{"channel":"book","type":"snapshot","data":[{"symbol":"AAA","bids":[{"price":9.9,"qty":1.00},{"price":9.8,"qty":2.00},{"price":9.7,"qty":3.00}],"asks":[{"price":10.0,"qty":1.00},{"price":10.1,"qty":0.50}],"checksum":1178761022,"timestamp":"t"}]}"#,
    r#"{"channel":"book","type":"update","data":[{"symbol":"AAA","bids":[{"price":9.95,"qty":1.50}],"asks":[{"price":10.0,"qty":0.00}],"checksum":3340342150,"timestamp":"t"}]}"#,
    r#"{"channel":"book","type":"update","data":[{"symbol":"AAA","bids":[{"price":9.9,"qty":0.00}],"asks":[{"price":10.2,"qty":7.00}],"checksum":6841375,"timestamp":"t"}]}"#,
    r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BBB","bids":[{"price":9.9,"qty":1.00},{"price":9.8,"qty":2.00},{"price":9.7,"qty":3.00}],"asks":[{"price":10.0,"qty":1.00},{"price":10.1,"qty":0.50}],"checksum":1178761022,"timestamp":"t"}]}"#,
    r#"{"channel":"book","type":"update","data":[{"symbol":"BBB","bids":[{"price":9.95,"qty":1.50}],"asks":[{"price":10.0,"qty":0.00}],"checksum":3340342150,"timestamp":"t"}]}"#,
    r#"{"channel":"book","type":"update","data":[{"symbol":"BBB","bids":[{"price":9.9,"qty":0.00}],"asks":[{"price":10.2,"qty":7.00}],"checksum":6841375,"timestamp":"t"}]}"#,
    r#"{"channel":"status","type":"update","data":[{"connection_id":12393906104898154338,"system":"online"}]}"#,
    r#"{"method":"subscribe","req_id":1,"result":{"channel":"book","symbol":"AAA","warnings":["w"]},"success":true}"#,
    r#"{"error":"no","method":"subscribe","req_id":0,"success":false,"symbol":"AAA"}"#,
    r#"{"channel":"trade","type":"update","data":[{"symbol":"AAA","price":1.0,"trade_id":7}]}"#,
    r#"{"channel":"balances","type":"snapshot","data":[{"asset":"USD","balance":1.50}],"sequence":1}"#,
    r#"{"channel":"executions","type":"update","data":[{"order_id":"O","exec_type":"new"}],"sequence":2}"#,
    r#"{"channel":"ohlc","type":"update","timestamp":"t","data":[{"symbol":"AAA","interval":1}]}"#,
    r#"[1920,{"b":[["0.042950","0.00000000","1618678163.318329"]],"c":"4058690033"},"book-1000","SC/EUR"]"#,
];

#[test]
fn no_text_breaks_a_venues_books_and_only_whole_ones_are_shown() {
    run(VENUE, 6_000, kraken::check);
    // Conversations: a book that is there, and what comes upon it.
    run(VENUE, 2_000, |input| {
        let frames: Vec<&[u8]> = VENUE.iter().map(|frame| frame.as_bytes()).collect();
        kraken::check(&[&frames[..6], &[input], &frames[..6]].concat().join(&0xff));
    });
}

#[test]
fn no_text_is_believed_as_a_token_and_none_breaks_what_reads_keys() {
    let own = [
        r#"{"sub":"u1","iat":1767225600,"exp":1767226200,"tapeline":{"read":["a*"],"keys":{"p":["1"]},"operator":true}}"#,
        "{\"alg\":\"HS512\",\"kid\":\"k\"}\0{\"sub\":\"u1\",\"exp\":1767226200.5}",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1MSIsImV4cCI6MTc2NzIyNjIwMH0.AAAA",
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","use":"sig","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#,
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n",
    ];
    run(&own, 3_000, tokens::check);
}

#[test]
fn no_text_breaks_the_reader_of_the_configuration() {
    let own = [
        "log = \"info\"\n[serve]\nlisten = [\"0.0.0.0:8000\"]\nshards = 2\n[limits]\nslow_close_s = 1.5\n",
        "[[channel]]\ntemplate = \"fx:{pair}\"\ntype = \"fx\"\ndelivery = \"table\"\nrow_key = [\"a\"]\n\
         keep = {count = 3}\nschema = {type = \"object\", properties = {a = {pattern = \"^x\"}}}\n",
        "[auth]\nmode = \"on\"\njwt.secret = \"7ZdQ1nVvT0x8oK3sWq5LrJmBcHyEfGuA\"\n[[auth.key]]\nid = \"feeder-1\"\n\
         hash = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"\nkeys = {p = [\"a\"]}\n",
        "auth = \"off\"\n",
        "[http]\nallowed_origins = [\"https://desk.example\"]\ncompression = false\n",
    ];
    run(&own, 1_500, settings::check);
}
