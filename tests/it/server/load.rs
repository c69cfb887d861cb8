//! Many clients, and clients that disconnect.

use super::{Served, hello, read};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// Max tokens of an abandoned request: the max number of choices, each as long as the context.
const ALL: f64 = 256.0 * 100.0;

fn endless(streams: bool) -> String {
    json!({"prompt": "hello", "max_tokens": 100, "n": 256, "stream": streams, "stop_token_ids": []})
        .to_string()
}

#[test]
fn disconnecting_ends_the_run() {
    let served = Served::new();
    for streams in [true, false] {
        let before = served.metric("vllm:generation_tokens_total");
        let mut stream = served.send("POST", "/v1/completions", "", &endless(streams));
        while served.metric("vllm:generation_tokens_total") == before {}
        if streams {
            stream.read_exact(&mut [0; 64]).unwrap();
        }
        stream.shutdown(Shutdown::Both).unwrap();
        drop(stream);
        served.wait_until_idle();
        let written = served.metric("vllm:generation_tokens_total") - before;
        assert!(written < ALL / 2.0, "{written} tokens, streams: {streams}");
    }
    assert_eq!(
        served.complete(json!({"prompt": "a"}))["choices"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// Waiting requests are told their place in the queue, and are answered in turn.
#[test]
fn waiting_requests_are_told_their_place() {
    let served = Served::new();
    let first = served.send("POST", "/v1/completions", "", &endless(true));
    while served.metric("vllm:num_requests_running") == 0.0 {}
    let chat = json!({"messages": hello(), "max_tokens": 3, "stream": true}).to_string();
    let second = served.send("POST", "/v1/chat/completions", "", &chat);
    while served.metric("vllm:num_requests_waiting") == 0.0 {}
    drop(first);
    let reply = read(second);
    assert!(
        reply.body.starts_with(": number 1 in the queue\n\n"),
        "{}",
        reply.body
    );
    assert!(reply.events().len() > 2);
}

#[test]
fn many_clients_get_the_answers_of_one() {
    let served = Served::new();
    let body = |seed: u64| json!({"prompt": format!("hello {}", seed % 5), "max_tokens": 12, "temperature": 0.9, "seed": seed});
    let wanted: Vec<Value> = (0..16)
        .map(|seed| served.complete(body(seed))["choices"].clone())
        .collect();
    std::thread::scope(|scope| {
        for client in 0..32u64 {
            let (served, wanted) = (&served, &wanted);
            scope.spawn(move || {
                for nth in 0..4 {
                    let seed = (client * 5 + nth) % 16;
                    match client % 4 {
                        // Truncated bodies.
                        0 => {
                            let mut stream = TcpStream::connect(served.address).unwrap();
                            let head = "POST /v1/completions HTTP/1.1\r\nContent-Length: 90\r\n\r\n{\"prompt\":";
                            let _ = stream.write_all(head.as_bytes());
                        }
                        // Killed clients.
                        1 => {
                            let mut stream = served.send("POST", "/v1/completions", "", &endless(true));
                            let _ = stream.read(&mut [0; 16]);
                        }
                        _ => {
                            let answer = served.complete(body(seed));
                            assert_eq!(answer["choices"], wanted[seed as usize]);
                        }
                    }
                }
            });
        }
    });
    served.wait_until_idle();
    assert!(served.metric("skiplens:sequences") <= 64.0);
    assert_eq!(served.complete(body(3))["choices"], wanted[3]);
}
