//! The people of the matrix and their hub. What each may is said once, here; what follows from it is the table's to say.

use serde_json::json;

use super::support::people::{self, Key, OTHER_SECRET, SECRET, bearer, claims, key, signed, token};
use super::support::{Client, Hub};
use super::table::{FAMILIES, rows};

/// Somebody, by the header line that says so.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) header: String,
}

/// The hub, and everybody who comes to it.
pub(crate) struct World {
    pub(crate) hub: Hub,
    config: String,
    /// Who is believed, strangers included where the hub lets them in.
    pub(crate) people: Vec<Person>,
    /// Who is not.
    pub(crate) impostors: Vec<Person>,
}

fn person(name: &'static str, token: &str) -> Person {
    Person { name, header: bearer(token) }
}

fn believed(publisher: &Key) -> Vec<Person> {
    let keys = json!({"portfolio_id": ["p1"], "desk": ["d1"], "cell": ["c1"]});
    let part = ["trades:p1", "alerts*", "orderbook:*", "training.*", "risk:eu*", "balances*"];
    vec![
        person("joe", &token("joe", &json!({}))),
        person("ann", &token("ann", &json!({"keys": keys}))),
        person("bob", &token("bob", &json!({"keys": {"portfolio_id": ["p2"]}}))),
        person("olga", &token("olga", &json!({}))),
        person("otto", &token("otto", &json!({}))),
        person("operator", &token("oscar", &json!({"read": ["*"], "operator": true}))),
        person("part", &token("pat", &json!({"read": part, "publish": part}))),
        person("publisher", &publisher.text),
    ]
}

/// Those of whom everything would be allowed, if they were believed.
fn impostors() -> Vec<Person> {
    let all =
        json!({"read": ["*"], "publish": ["*"], "store": {"read": ["*"], "write": ["*"]}, "operator": true});
    let mut gone = claims("gail", &all, 3_600);
    gone["jti"] = json!("taken-back");
    vec![
        person("expired", &signed(SECRET, &claims("eve", &all, -60))),
        person("forged", &signed(OTHER_SECRET, &claims("eve", &all, 3_600))),
        person("revoked", &signed(SECRET, &gone)),
        person("no key", "tk_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ]
}

impl World {
    /// Every channel has had one message; `seed-` begins what is in them.
    pub(crate) fn with_strangers(are_let_in: bool) -> World {
        World::start(are_let_in, &[])
    }

    /// With these words on the hub's command line.
    pub(crate) fn start(strangers: bool, words: &[&str]) -> World {
        let (publisher, admin) = (key("publish = [\"*\"]"), key("admin = true"));
        let settings = format!("anonymous = {strangers}\nfailures_per_minute = 0");
        let shards = "[serve]\nshards = 3\n";
        let config = format!("{shards}{}{FAMILIES}", people::auth(&settings, &[&publisher, &admin]));
        let hub = Hub::with_config_and(&config, words);
        let taken =
            hub.request("POST", "/admin/revocations", &bearer(&admin.text), r#"{"token_id":"taken-back"}"#);
        assert_eq!(taken.status(), 200, "{}", taken.text());
        let mut people = believed(&publisher);
        let mut impostors = impostors();
        let stranger = Person { name: "stranger", header: String::new() };
        if strangers { &mut people } else { &mut impostors }.push(stranger);
        let world = World { hub, config, people, impostors };
        world.seed(&publisher);
        world
    }

    /// The same people at a hub that has ended and been started again with these words.
    pub(crate) fn started_again(mut self, words: &[&str]) -> World {
        self.hub.terminate();
        self.hub.wait();
        self.hub = Hub::with_config_and(&self.config, words);
        self
    }

    fn seed(&self, publisher: &Key) {
        let item = |(n, row): (usize, &super::table::Row)| {
            format!("{{\"channel\":\"{}\",\"data\":{}}}", row.channel, row.data_with(&format!("seed-{n}-")))
        };
        let items: Vec<String> = rows().enumerate().map(item).collect();
        let answer = self.hub.request(
            "POST",
            "/publish/batch",
            &bearer(&publisher.text),
            format!("[{}]", items.join(",")),
        );
        assert_eq!(answer.status(), 200);
        assert!(!answer.text().contains("\"error\""), "{}", answer.text());
    }

    /// The same people at another hub with these words.
    pub(crate) fn beside(&self, words: &[&str]) -> Hub {
        Hub::with_config_and(&self.config, words)
    }

    pub(crate) fn person(&self, name: &str) -> &Person {
        self.people.iter().find(|person| person.name == name).expect("there is one of this name")
    }

    pub(crate) fn connect(&self, person: &Person) -> Client {
        Client::connect_with(&self.hub, "/ws?heartbeat=0", &person.header)
    }
}
