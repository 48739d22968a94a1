//! The link against a real Redis: asking, hearing, and what becomes of both when the line breaks.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;
use crate::redis::testing::{Proxy, RedisServer};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Up,
    Down,
    Heard(String),
}

struct Ear(SyncSender<Told>);

impl Events for Ear {
    fn on_up(&self, _: &Server) {
        self.0.send(Told::Up).unwrap();
    }

    fn on_down(&self, _: &str) {
        self.0.send(Told::Down).unwrap();
    }

    fn on_heard(&self, heard: &mut VecDeque<Heard>) {
        for heard in heard.drain(..) {
            self.0.send(Told::Heard(String::from_utf8(heard.payload.to_vec()).unwrap())).unwrap();
        }
    }
}

fn open(url: &str) -> (Link, Receiver<Told>, Arc<Ear>) {
    let (to, from) = sync_channel(1_024);
    let ear = Arc::new(Ear(to));
    let weak: Weak<Ear> = Arc::downgrade(&ear);
    let link = Link::new(Address::parse(url).unwrap(), "test");
    link.start(weak).unwrap();
    (link, from, ear)
}

fn next(from: &Receiver<Told>) -> Told {
    from.recv_timeout(PATIENCE).unwrap()
}

fn ask(link: &Link, command: &Command, patience: Patience) -> Receiver<Result<Value, LinkError>> {
    let (to, from) = sync_channel(1);
    link.ask(command, patience, move |value| to.send(value).unwrap());
    from
}

fn answer(from: &Receiver<Result<Value, LinkError>>) -> Result<Value, LinkError> {
    from.recv_timeout(PATIENCE).unwrap()
}

fn listen(link: &Link, topic: Topic) {
    let (to, from) = sync_channel(1);
    link.listen(topic, Box::new(move || to.send(()).unwrap()));
    from.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_script_runs_on_a_redis_that_does_not_know_it_and_again_when_it_has_forgotten() {
    static SCRIPT: Script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    let server = RedisServer::start();
    let (link, told, _ear) = open(&server.url());
    assert_eq!(next(&told), Told::Up);
    for due in [5, 10] {
        let (to, from) = sync_channel(1);
        let commands = [2, 3].map(|number| SCRIPT.command(&["k"]).number(number));
        link.ask_all(&commands, Patience::Now, Box::new(move |values| to.send(values).unwrap()));
        let values = from.recv_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(values, [Value::Int(due - 3), Value::Int(due)]);
        server.ask("SCRIPT FLUSH");
    }
    let refused = answer(&ask(&link, &Command::new("INCRBY k x"), Patience::Now));
    assert!(matches!(&refused, Err(LinkError::Refused(why)) if why.contains("integer")), "{refused:?}");
}

#[test]
fn topics_are_heard_from_their_confirmation_on_and_again_after_the_line_broke() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let (link, told, _ear) = open(&proxy.url());
    assert_eq!(next(&told), Told::Up);
    listen(&link, Topic::Channel("a".into()));
    listen(&link, Topic::Pattern("b*".into()));
    server.ask("PUBLISH a one");
    server.ask("PUBLISH bb two");
    assert_eq!((next(&told), next(&told)), (Told::Heard("one".into()), Told::Heard("two".into())));
    proxy.reset();
    assert_eq!((next(&told), next(&told)), (Told::Down, Told::Up));
    server.ask("PUBLISH a three");
    assert_eq!(next(&told), Told::Heard("three".into()));
    link.unlisten(&Topic::Channel("a".into()));
    assert_eq!(answer(&ask(&link, &Command::new("PING"), Patience::Now)), Ok(Value::Data("PONG".into())));
}

#[test]
fn what_waits_for_the_line_is_sent_on_return_and_fails_when_its_time_is_over() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let (link, told, _ear) = open(&proxy.url());
    assert_eq!(next(&told), Told::Up);
    proxy.cut();
    assert_eq!(next(&told), Told::Down);
    let incr = Command::new("INCR n");
    let returning = ask(&link, &incr, Patience::Return);
    let hasty = ask(&link, &incr, Patience::Now);
    let short = ask(&link, &incr, Patience::For(Duration::from_millis(50)));
    assert!(matches!(answer(&hasty), Err(LinkError::NotSent(_))));
    assert!(matches!(answer(&short), Err(LinkError::NotSent(_))));
    proxy.mend();
    assert_eq!(answer(&returning), Ok(Value::Int(1)));
}

#[test]
fn a_redis_that_keeps_silent_is_found_out_and_what_was_sent_is_unknown() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let (link, told, _ear) = open(&proxy.url());
    assert_eq!(next(&told), Told::Up);
    proxy.silence();
    let since = Instant::now();
    let sent = ask(&link, &Command::new("INCR n"), Patience::Now);
    let again = ask(&link, &Command::new("GET m"), Patience::Return);
    assert!(matches!(answer(&sent), Err(LinkError::Unknown(_))));
    assert!(since.elapsed() < Duration::from_secs(8), "after {:?}", since.elapsed());
    assert_eq!(next(&told), Told::Down);
    proxy.mend();
    assert_eq!(answer(&again), Ok(Value::Nil));
    assert_eq!(server.ask("EXISTS n"), ":0", "the old connection is dead before the new one works");
}

#[test]
fn a_wrong_password_is_an_error_at_once_and_a_missing_redis_is_not() {
    let server = RedisServer::start_with(&["--requirepass", "secret"]);
    let (to, _from) = sync_channel(1_024);
    let ear = Arc::new(Ear(to));
    let open = |url: &str| {
        let weak: Weak<Ear> = Arc::downgrade(&ear);
        let link = Link::new(Address::parse(url).unwrap(), "test");
        link.start(weak).map(|()| link)
    };
    let place = format!("127.0.0.1:{}", server.port());
    for url in [format!("redis://{place}"), format!("redis://:wrong@{place}")] {
        assert!(matches!(open(&url), Err(ConnectError::Denied(_))));
    }
    assert!(open(&format!("redis://:secret@{place}")).is_ok());
    assert!(open("redis://127.0.0.1:1").is_ok_and(|link| !link.is_up()));
}
