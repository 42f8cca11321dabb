//! Slow, greedy and hostile clients: each gets an answer or an end, and the others are served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Service, TRANSCRIPTIONS, form, post, small, wait_until, wav};
use ossicle_serve::Limits;
use ossicle_serve::wyoming::event::Event;
use serde_json::json;

fn transcribe(samples: usize) -> Vec<u8> {
    post(TRANSCRIPTIONS, &form(&[("model", "fake")], Some(&wav(samples))))
}

#[test]
fn dripping_clients_are_cut_off() {
    let service = Service::start(small(), |_| {});
    let start = Instant::now();
    thread::scope(|scope| {
        // Neither is ever idle: only a limit on the whole ends them.
        let head = service.say(b"GET /health HTTP/1.1\r\nX: ");
        let head = scope.spawn(move || (head.drip(b"x").status, start.elapsed()));
        let body = service.say(&transcribe(1_000_000)[..1000]);
        let body = scope.spawn(move || (body.drip(&[0; 20]).status, start.elapsed()));
        let mut event = service.client();
        let events = scope.spawn(move || {
            event.send(b"{\"type\": \"ping\"");
            event.refusal()
        });
        let mut silent = service.client();
        let silence = scope.spawn(move || silent.refusal());
        assert_eq!(events.join().unwrap(), "too-slow");
        assert_eq!(silence.join().unwrap(), "too-slow");
        let (idle, transfer) = (small().idle, small().transfer);
        assert!(start.elapsed() >= idle);
        for (dripping, limit) in [(head, idle), (body, transfer)] {
            let (status, after) = dripping.join().unwrap();
            assert_eq!(status, 408);
            assert!(after >= limit, "{after:?}");
        }
    });
    service.is_well();
}

#[test]
fn connections_are_counted() {
    let limits = Limits { connections: 6, connections_per_peer: 4, idle: Duration::from_secs(20), ..small() };
    let service = Service::start(limits, |_| {});
    let mut held: Vec<_> = (0..4).map(|_| service.client()).collect();
    held.iter_mut().for_each(|client| assert!(client.pings()));
    assert_eq!(service.client().refusal(), "busy");
    assert_eq!(service.say(b"").answer().status, 503);
    // Others have the rest, and no more.
    let mut others: Vec<_> = (0..2).map(|_| service.stranger()).collect();
    others.iter_mut().for_each(|client| assert!(client.pings()));
    assert_eq!(service.stranger().refusal(), "busy");
    drop(held.pop());
    // The threads notice the end of their clients at their own pace.
    wait_until("a place of one is another's", || service.stranger().pings());
    drop(held);
    let pings = || service.client().pings();
    let health = b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n";
    wait_until("there is a place again", || pings() && service.ask(health).status == 200);
}

#[test]
fn an_open_recording_ends_in_time_whatever_else_is_said() {
    let limits = Limits { audio_seconds: 1, transfer: Duration::from_millis(500), held_bytes: 50_000, ..small() };
    let service = Service::start(limits, |_| {});
    let (mut client, start) = (service.client(), Instant::now());
    client.audio("audio-start", &[]);
    client.audio("audio-chunk", &[0; 30_000]);
    // It has been taken.
    assert!(client.pings());
    let mut other = service.client();
    other.record(20_000);
    assert_eq!(other.refusal(), "busy");
    let refusal = loop {
        client.write(&Event::new("ping", json!({})));
        match client.event().unwrap() {
            event if event.kind == "pong" => thread::sleep(Duration::from_millis(50)),
            event => break event,
        }
        assert!(start.elapsed() < Duration::from_secs(20), "the recording stays");
    };
    assert_eq!((refusal.kind.as_str(), refusal.text("code")), ("error", Some("too-slow")));
    assert!(start.elapsed() >= Duration::from_millis(1500));
    wait_until("its bytes are free", || {
        let mut other = service.client();
        other.record(12_000);
        other.event().unwrap().kind == "transcript"
    });
}

#[test]
fn one_address_cannot_keep_others_out() {
    let limits = Limits { queue: 4, held_bytes_per_peer: 50_000, held_bytes: 100_000, wait: Duration::from_secs(20), ..small() };
    let service = Service::start(limits, |_| {});
    service.close();
    // At work, and as many waiting as one address may have.
    let working = service.say(&transcribe(1));
    service.wait_begun(1);
    let mut greedy = [2, 3].map(|samples| (samples, service.client()));
    for (samples, client) in &mut greedy {
        client.record(*samples);
        service.wait_queued(*samples as u64 - 1);
    }
    let mut refused = service.client();
    refused.record(4);
    assert_eq!(refused.refusal(), "busy");
    let mut holding = service.client();
    holding.audio("audio-start", &[]);
    holding.audio("audio-chunk", &[0; 49_000]);
    assert!(holding.pings());
    let mut stranger = service.stranger();
    stranger.record(20_000);
    service.wait_queued(3);
    // It is begun before what the greedy one has still waiting.
    drop(working);
    service.wait_at_work(16_000);
    service.open();
    assert_eq!(stranger.transcript(), "heard 16000. heard 4000.");
    for (samples, client) in &mut greedy {
        assert_eq!(client.transcript(), format!("heard {samples}."));
    }
}

#[test]
fn the_queue_is_short_and_moves_on() {
    let service = Service::start(Limits { wait: Duration::from_secs(20), ..small() }, |_| {});
    service.close();
    let mut working = service.say(&transcribe(10));
    service.wait_begun(1);
    let (first, mut second) = (service.say(&transcribe(20)), service.say(&transcribe(30)));
    service.wait_queued(2);
    let refused = service.ask(&transcribe(40));
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("busy")));
    assert!(refused.head.contains("retry-after: 1"), "{refused:?}");
    // One who leaves makes room at once.
    drop(first);
    service.wait_queued(1);
    let mut last = service.say(&transcribe(50));
    service.wait_queued(2);
    service.open();
    for (client, text) in [(&mut working, "heard 10."), (&mut second, "heard 30."), (&mut last, "heard 50.")] {
        assert_eq!(client.answer().json()["text"], text);
    }
}

#[test]
fn nobody_waits_for_ever() {
    let service = Service::start(small(), |_| {});
    service.close();
    let mut working = service.client();
    working.record(10);
    service.wait_begun(1);
    let (mut wyoming, start) = (service.client(), Instant::now());
    wyoming.record(20);
    assert_eq!(service.ask(&transcribe(20)).status, 503);
    assert_eq!(wyoming.refusal(), "busy");
    assert!(start.elapsed() >= Duration::from_millis(600));
    service.open();
    assert_eq!(working.transcript(), "heard 10.");
    service.is_well();
}

/// One uploads long recordings again and again, others have shorter ones: no command waits for more than what is being computed, nobody is
/// turned away, and the long ones are heard too.
#[test]
fn short_ones_go_first_between_windows() {
    let limits = Limits { queue: 16, queue_per_peer: 8, wait: Duration::from_secs(20), audio_seconds: 400, ..small() };
    let service = Service::with_models(3, limits, |_| {});
    service.pace.store(10, Ordering::SeqCst);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let lectures = scope.spawn(|| {
            let mut times = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let start = Instant::now();
                assert_eq!(service.ask(&transcribe(120 * 16_000)).status, 200);
                times.push(start.elapsed());
            }
            times
        });
        service.wait_begun(1);
        let clients: Vec<_> = (0..7)
            .map(|client| {
                let service = &service;
                scope.spawn(move || {
                    (0..4)
                        .map(|round| {
                            let seconds = [2, 2, 2, 5, 10, 31, 60][client];
                            let start = Instant::now();
                            let answer = if round % 2 == 0 {
                                service.ask(&transcribe(seconds * 16_000))
                            } else {
                                service.stranger_asks(&transcribe(seconds * 16_000))
                            };
                            assert_eq!(answer.status, 200, "{answer:?}");
                            (seconds, start.elapsed())
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let times: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        done.store(true, Ordering::SeqCst);
        // How fast it is depends on the machine, and that lectures take longer than commands on whose turn it is.
        let lecture = lectures.join().unwrap().into_iter().min().unwrap();
        for (seconds, time) in times {
            assert!(seconds > 2 || time < lecture, "{seconds} s after {time:?}, a lecture after {lecture:?}");
        }
    });
}

/// What has begun goes on where others wait for their turn, and ends for them alike.
#[test]
fn those_who_wait_for_their_turn_may_leave() {
    let mut service = Service::with_models(2, Limits { wait: Duration::from_secs(20), ..small() }, |_| {});
    service.close();
    let mut long = service.say(&transcribe(40 * 16_000));
    service.wait_begun(1);
    let leaving = service.say(&transcribe(20));
    service.wait_begun(2);
    drop(leaving);
    let mut short = service.client();
    short.record(30);
    service.wait_begun(3);
    service.open();
    assert_eq!(short.transcript(), "heard 30.");
    assert_eq!(long.answer().status, 200);
    service.close();
    // One by one: a short one that came first would take the only model that a long one may have.
    let long = service.say(&transcribe(40 * 16_000));
    service.wait_begun(4);
    let mut last = [long, service.say(&transcribe(50))];
    service.wait_begun(5);
    service.end();
    for client in &mut last {
        assert_eq!(client.answer().json()["error"]["code"], "stopping");
    }
}

#[test]
fn work_ends_in_time_or_when_its_client_leaves() {
    let service = Service::start(Limits { work: Duration::from_millis(300), wait: Duration::from_secs(20), ..small() }, |_| {});
    service.close();
    let answer = service.ask(&transcribe(10));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("too_slow")));
    // It would take as long another time.
    assert!(!answer.head.contains("retry-after"), "{answer:?}");
    let service = Service::start(Limits { wait: Duration::from_secs(20), ..small() }, |_| {});
    service.close();
    let gone = service.say(&transcribe(10));
    service.wait_at_work(10);
    drop(gone);
    let half = service.say(&transcribe(20));
    half.half_close();
    // The model is closed still: only because those two have left is the third begun.
    let mut third = service.client();
    third.record(30);
    service.wait_at_work(30);
    service.open();
    assert_eq!(third.transcript(), "heard 30.");
}

#[test]
fn who_leaves_late_is_noticed_too() {
    let (short, long) = (Duration::from_secs(1), Duration::from_secs(100));
    let service = Service::start(Limits { idle: short, transfer: short, wait: long, work: long, ..small() }, |_| {});
    service.close();
    let leaving = service.say(&transcribe(10));
    service.wait_at_work(10);
    let mut waiting = service.say(&transcribe(20));
    // Longer than a request may take to arrive.
    thread::sleep(Duration::from_millis(1200));
    drop(leaving);
    service.wait_at_work(20);
    service.open();
    assert_eq!(waiting.answer().json()["text"], "heard 20.");
}

#[test]
fn recordings_of_all_clients_share_what_is_kept() {
    // One fits beside another, but not two; a header is 44 bytes, a form's file too.
    let limits = Limits { held_bytes: 100_000, wait: Duration::from_secs(20), ..small() };
    let service = Service::start(limits, |_| {});
    service.close();
    let mut working = service.client();
    working.record(20_000);
    service.wait_begun(1);
    let mut waiting = service.say(&transcribe(25_000));
    service.wait_queued(1);
    let refused = service.ask(&transcribe(40_000));
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("busy")));
    let mut client = service.client();
    client.record(10_000);
    assert_eq!(client.refusal(), "busy");
    service.open();
    assert_eq!(working.transcript(), "heard 16000. heard 4000.");
    assert_eq!(waiting.answer().json()["text"], "heard 16000. heard 9000.");
    // What is done with makes room.
    assert_eq!(service.ask(&transcribe(40_000)).status, 200);
}

#[test]
fn a_stop_is_told() {
    let mut service = Service::start(Limits { wait: Duration::from_secs(20), ..small() }, |_| {});
    service.close();
    let (mut wyoming, mut http) = (service.client(), service.say(b""));
    wyoming.record(10);
    service.wait_begun(1);
    http.send(&transcribe(10));
    service.wait_queued(1);
    service.end();
    assert_eq!(wyoming.refusal(), "stopping");
    assert_eq!(http.answer().json()["error"]["code"], "stopping");
}

#[test]
fn too_much_is_refused_while_it_is_sent() {
    let service = Service::start(small(), |_| {});
    // 100 s are allowed, and 4 MB; the recording goes on.
    let mut client = service.client();
    client.audio("audio-start", &[]);
    (0..404).for_each(|_| client.audio("audio-chunk", &[0; 8000]));
    assert_eq!(client.refusal(), "too-long");
    assert_eq!(service.ask(&post(TRANSCRIPTIONS, &form(&[("model", "fake")], Some(&vec![0; 4_500_000])))).status, 413);
    assert_eq!(service.ask(&post(TRANSCRIPTIONS, &form(&[("model", "fake")], Some(&vec![0; 20_000_000])))).status, 413);
    let chunk = [&b"80000\r\n"[..], &vec![0; 0x80000], b"\r\n"].concat();
    let head =
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(service.ask(&[&head[..], &chunk.repeat(40)].concat()).status, 413);
    service.is_well();
}

#[test]
fn hostile_bytes_end_their_connection_and_nothing_else() {
    let service = Service::start(small(), |_| {});
    let deep = format!("{{\"type\": \"describe\", \"data\": {}\n", "[".repeat(16_000));
    let wide = format!("{{\"type\": \"describe\", \"data_length\": 65536}}\n{{\"a\": [{}0]}}", "[],".repeat(22_000));
    let noise: Vec<u8> = (0..50_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let sessions: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &noise,
        deep.as_bytes(),
        wide.as_bytes(),
        &[b'{'; 100_000],
        b"{\"type\": \"audio-chunk\", \"payload_length\": 18446744073709551615}\n",
        b"{\"type\": \"audio-chunk\", \"payload_length\": 1048576}\n",
        b"\n\n\n",
    ];
    for bytes in sessions {
        let mut client = service.client();
        client.send(bytes);
        client.half_close();
        assert_eq!(client.refusal(), "bad-event", "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
    }
    let fields = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let parts = post(TRANSCRIPTIONS, &form(&[("a", "b"); 100], None));
    let requests: [(u16, &[u8]); 7] = [
        (431, &noise),
        (431, fields.as_bytes()),
        (431, long.as_bytes()),
        (400, b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (400, b"{\"type\": \"describe\"}\n\n"),
        (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (400, &parts),
    ];
    for (status, bytes) in requests {
        assert_eq!(service.ask(bytes).status, status, "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
    }
    service.is_well();
}
