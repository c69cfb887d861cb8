//! Requests that are refused, and their errors.

use super::{Served, hello, options, read};
use serde_json::{Value, json};
use skiplens::server::Options;
use std::io::Write;
use std::net::TcpStream;

/// Errors in OpenAI's format: status, field and a word of the message.
#[test]
fn invalid_fields_are_named() {
    let served = Served::new();
    let completion = "/v1/completions";
    let chat = "/v1/chat/completions";
    let long = "hello ".repeat(200);
    let image =
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]);
    let cases = [
        (completion, json!({}), json!("prompt"), "prompt"),
        (chat, json!({}), json!("messages"), "messages"),
        (
            completion,
            json!({"prompt": {"a": 1}}),
            json!("prompt"),
            "token ids",
        ),
        (
            completion,
            json!({"prompt": []}),
            json!("prompt"),
            "no prompt",
        ),
        (
            completion,
            json!({"prompt": [[]]}),
            json!("prompt"),
            "empty",
        ),
        (
            completion,
            json!({"prompt": [300]}),
            json!("prompt"),
            "vocabulary",
        ),
        (
            completion,
            json!({"prompt": [-1]}),
            json!("prompt"),
            "token ids",
        ),
        (
            completion,
            json!({"prompt": long}),
            json!("prompt"),
            "context",
        ),
        (
            completion,
            json!({"prompt": "a", "suffix": "b"}),
            json!("suffix"),
            "suffix",
        ),
        (
            completion,
            json!({"prompt": "a", "best_of": 2}),
            json!("best_of"),
            "use n instead",
        ),
        (
            completion,
            json!({"prompt": "a", "n": 0}),
            json!("n"),
            "at least 1",
        ),
        (
            completion,
            json!({"prompt": "a", "n": 100_000}),
            json!("n"),
            "256",
        ),
        (
            completion,
            json!({"prompt": "a", "logprobs": 21}),
            json!("logprobs"),
            "20",
        ),
        (
            completion,
            json!({"prompt": "a", "temperature": "hot"}),
            json!("temperature"),
            "temperature is \"hot\"; it must be a number",
        ),
        (
            completion,
            json!({"prompt": "a", "max_tokens": -5}),
            json!("max_tokens"),
            "max_tokens is -5; it must be a whole number of at least 0",
        ),
        (
            completion,
            json!({"prompt": "a", "exit_layer": 1.5}),
            json!("exit_layer"),
            "exit_layer is 1.5; it must be a whole number",
        ),
        (
            completion,
            json!({"prompt": "a", "stop_token_ids": [1, 5_000_000_000_u64]}),
            json!("stop_token_ids[1]"),
            "from 0 to 4294967295",
        ),
        (
            completion,
            json!({"prompt": "a", "echo": "yes"}),
            json!("echo"),
            "echo is \"yes\"; it must be true or false",
        ),
        (
            chat,
            json!({"messages": hello(), "skiplens": 1}),
            json!("skiplens"),
            "skiplens is 1; it must be an object",
        ),
        (
            chat,
            json!({"messages": "hello"}),
            json!("messages"),
            "it must be a list",
        ),
        (
            chat,
            json!({"messages": [{"content": "x"}]}),
            json!("messages[0].role"),
            "the field role of messages[0] is missing",
        ),
        (
            chat,
            json!({"messages": [{"role": "user", "contents": "x"}]}),
            json!("messages[0].content"),
            "the field content of messages[0] is missing",
        ),
        (
            chat,
            json!({"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": ""}}]}),
            json!("messages[0].function_call"),
            "not supported",
        ),
        (
            completion,
            json!({"prompt": "a", "temperature": -1}),
            json!("temperature"),
            "temperature",
        ),
        (
            completion,
            json!({"prompt": "a", "top_p": 0}),
            json!("top_p"),
            "top-p is 0",
        ),
        (
            completion,
            json!({"prompt": "a", "min_p": 2}),
            json!("min_p"),
            "0 (off) to 1",
        ),
        (
            completion,
            json!({"prompt": "a", "repetition_penalty": 0}),
            json!("repetition_penalty"),
            "1 is off",
        ),
        (
            completion,
            json!({"prompt": "a", "exit_layer": 2}),
            json!("exit_layer"),
            "2 layers",
        ),
        (
            completion,
            json!({"prompt": "a", "num_speculations": 0}),
            json!("num_speculations"),
            "at least 1",
        ),
        (
            completion,
            json!({"prompt": "a", "tree": 1000}),
            json!("tree"),
            "tree has 1000 nodes",
        ),
        (
            completion,
            json!({"prompt": "a", "repetition_penalty": 1.1, "repeat_penalty": 1.2}),
            json!("repetition_penalty"),
            "repetition_penalty and repeat_penalty are the same field",
        ),
        (
            chat,
            json!({"messages": hello(), "repeat_penalty": 1.2, "repetition_penalty": null}),
            json!("repetition_penalty"),
            "repetition_penalty and repeat_penalty are the same field",
        ),
        (
            completion,
            json!({"prompt": "a", "controller": "confidence:7"}),
            json!("controller"),
            "0 to 1",
        ),
        (
            completion,
            json!({"prompt": "a", "confidence": 1.5}),
            json!("confidence"),
            "confidence is 1.5; it may be 0 to 1",
        ),
        (
            completion,
            json!({"prompt": "a", "confidence": "high"}),
            json!("confidence"),
            "it must be a number",
        ),
        (
            chat,
            json!({"messages": hello(), "adapter": "maybe"}),
            json!("adapter"),
            "adapter is \"maybe\"; it may be true, false, \"on\" or \"off\"",
        ),
        (
            chat,
            json!({"messages": hello(), "kvq_reuse": 1}),
            json!("kvq_reuse"),
            "kvq_reuse is 1; it may be true, false",
        ),
        (
            completion,
            json!({"prompt": "a", "skiplens": {"detial": true}}),
            json!("skiplens.detial"),
            "there is no field detial; it may be detail",
        ),
        (
            chat,
            json!({"messages": hello(), "top_logprobs": 2}),
            json!("top_logprobs"),
            "needs logprobs",
        ),
        (
            completion,
            json!({"prompt": "a", "exit_layer": -2}),
            json!("exit_layer"),
            "-1",
        ),
        (
            completion,
            json!({"prompt": "a", "num_speculations": 65}),
            json!("num_speculations"),
            "64",
        ),
        (
            completion,
            json!({"prompt": "a", "strategy": "magic"}),
            json!("strategy"),
            "strategy is \"magic\"; it may be autoregressive, early-exit",
        ),
        (
            completion,
            json!({"prompt": "a", "coupling": 1}),
            json!("coupling"),
            "string",
        ),
        (
            completion,
            json!({"prompt": "a", "seed": 1.5}),
            json!("seed"),
            "seed is 1.5; it must be a 64-bit integer",
        ),
        (
            completion,
            json!({"prompt": "a", "stop": 7}),
            json!("stop"),
            "stop is 7; it may be a string or a list of strings",
        ),
        (
            completion,
            json!({"prompt": "a", "stop": "x".repeat(20_000)}),
            json!("stop"),
            "bytes",
        ),
        (
            completion,
            json!({"prompt": "a", "frequency_penalty": 0.5}),
            json!("frequency_penalty"),
            "not supported",
        ),
        (
            completion,
            json!({"prompt": "a", "logit_bias": {"5": 1}}),
            json!("logit_bias"),
            "not supported",
        ),
        (
            chat,
            json!({"messages": []}),
            json!("messages"),
            "no messages",
        ),
        (
            chat,
            json!({"messages": hello(), "tools": [{}]}),
            json!("tools"),
            "not supported",
        ),
        (
            chat,
            json!({"messages": image}),
            json!("messages[0].content"),
            "image_url",
        ),
        (
            chat,
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            json!("messages[0].role"),
            "tool results",
        ),
        (
            chat,
            json!({"messages": [{"role": "king", "content": "x"}]}),
            json!("messages[0].role"),
            "king",
        ),
        (
            chat,
            json!({"messages": hello(), "response_format": {"type": "json_object"}}),
            json!("response_format"),
            "plain text",
        ),
        (
            chat,
            json!({"messages": hello(), "logprobs": true, "top_logprobs": 21}),
            json!("top_logprobs"),
            "20",
        ),
        ("/tokenize", json!({"prompt": 1}), json!("prompt"), "string"),
        ("/tokenize", json!({"promt": "a"}), json!("promt"), "prompt"),
        (
            "/detokenize",
            json!({"tokens": [5, 300]}),
            json!("tokens"),
            "token 300 is not in this model's vocabulary",
        ),
    ];
    for (path, body, param, word) in cases {
        // Before a stream begins, errors have their status as well.
        for streams in [false, true] {
            let mut body = body.clone();
            body["stream"] = json!(streams);
            let reply = served.post(path, &body);
            let error = reply.json()["error"].clone();
            assert_eq!(reply.status, 400, "{body}: {error}");
            assert_eq!(error["type"], "invalid_request_error");
            assert_eq!(error["param"], param, "{body}: {error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(word), "{body}: {message}");
            for rust in [
                "usize",
                "u32",
                "i64",
                "f32",
                "struct",
                "variant",
                "invalid type",
            ] {
                assert!(!message.contains(rust), "{body}: {message}");
            }
        }
    }
    let code = served.post(completion, &json!({"prompt": long})).json()["error"]["code"].clone();
    assert_eq!(code, "context_length_exceeded");
}

/// Fields that would change the result are refused by name, unless their value asks for nothing.
#[test]
fn fields_without_support_are_refused_unless_they_ask_for_nothing() {
    let served = Served::new();
    let request = |name: &str, value: &Value| {
        let mut body = json!({"messages": hello(), "max_tokens": 1});
        body[name] = value.clone();
        served.post("/v1/chat/completions", &body)
    };
    for (name, asks, neutral) in [
        ("tool_choice", json!("required"), json!("auto")),
        ("function_call", json!({"name": "f"}), json!("none")),
        ("modalities", json!(["text", "audio"]), json!(["text"])),
        ("audio", json!({"voice": "alloy"}), Value::Null),
        ("web_search_options", json!({}), Value::Null),
        (
            "response_format",
            json!({"type": "json_schema"}),
            json!({"type": "text"}),
        ),
        ("logit_bias", json!({"5": -100}), json!({})),
        ("frequency_penalty", json!(0.5), json!(0)),
        ("presence_penalty", json!(-1), json!(0.0)),
        ("tools", json!([{"type": "function"}]), json!([])),
        ("guided_json", json!({"type": "object"}), Value::Null),
        ("guided_choice", json!(["a"]), json!([])),
        ("grammar", json!("root ::= [a]"), json!("")),
        ("ignore_eos", json!(true), json!(false)),
        ("min_tokens", json!(5), json!(0)),
        ("use_beam_search", json!(true), json!(false)),
    ] {
        let refused = request(name, &asks);
        assert_eq!(refused.status, 400, "{name}: {}", refused.body);
        let error = refused.json()["error"].clone();
        assert_eq!(error["param"], name, "{error}");
        assert_eq!(error["code"], "unsupported_parameter", "{error}");
        for value in [neutral, Value::Null] {
            let taken = request(name, &value);
            assert_eq!(taken.status, 200, "{name}: {value}: {}", taken.body);
        }
    }
}

/// A misspelt field is refused with the field that was meant; fields of other servers are taken and named in a header.
#[test]
fn unknown_fields_are_refused_if_misspelt_and_otherwise_reported() {
    let served = Served::new();
    let request = |path: &str, fields: &Value| {
        let mut body = match path {
            "/v1/completions" => json!({"prompt": "a", "max_tokens": 1}),
            _ => json!({"messages": hello(), "max_tokens": 1}),
        };
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        served.post(path, &body)
    };
    let paths = ["/v1/completions", "/v1/chat/completions"];
    for path in paths {
        for (name, meant) in [
            ("temprature", "temperature"),
            ("Temperature", "temperature"),
            ("maxTokens", "max_tokens"),
            ("top-p", "top_p"),
            ("topk", "top_k"),
            ("sede", "seed"),
            ("stops", "stop"),
            ("exitlayer", "exit_layer"),
            ("exit_layers", "exit_layer"),
            ("num_speculation", "num_speculations"),
            ("max_completion_token", "max_completion_tokens"),
            ("stop_sequences", "stop"),
        ] {
            let mut fields = json!({});
            fields[name] = json!(1);
            let refused = request(path, &fields);
            assert_eq!(refused.status, 400, "{name}: {}", refused.body);
            let error = refused.json()["error"].clone();
            assert_eq!(error["param"], name, "{error}");
            assert_eq!(error["code"], "unknown_parameter", "{error}");
            let message = error["message"].as_str().unwrap();
            assert!(
                message.ends_with(&format!("did you mean {meant}?")),
                "{message}"
            );
        }
        // What OpenAI's clients send without effect on the text.
        let harmless = json!({
            "user": "me", "store": true, "metadata": {"a": "b"}, "service_tier": "auto", "safety_identifier": "x",
            "prompt_cache_key": "x", "parallel_tool_calls": true, "reasoning_effort": "low", "verbosity": "low",
            "stream_options": {"include_usage": true, "include_obfuscation": false},
        });
        let taken = request(path, &harmless);
        assert_eq!(taken.status, 200, "{}", taken.body);
        assert!(
            !taken.head.contains("x-skiplens-ignored: "),
            "{}",
            taken.head
        );
        // Fields of other servers and proxies, some of which resemble ours.
        let foreign = json!({
            "typical_p": 1, "mirostat": 0, "cache_prompt": true, "top_a": 0, "mode": "instruct", "models": ["a"],
            "skip_special_tokens": true, "length_penalty": 1.0, "priority": 0, "id_slot": -1, "chat_id": "x",
            "session_id": "x", "return_token_ids": false, "samplers": [], "keep_alive": "5m", "do_sample": false,
            "max_new_tokens": 5, "nothing": null,
        });
        for streams in [false, true] {
            let mut foreign = foreign.clone();
            foreign["stream"] = json!(streams);
            let taken = request(path, &foreign);
            assert_eq!(taken.status, 200, "{}", taken.body);
            let line = taken.head.lines();
            let named = line.filter_map(|line| line.strip_prefix("x-skiplens-ignored: "));
            let named: Vec<&str> = named.flat_map(|names| names.split(", ")).collect();
            assert!(
                named.starts_with(&["typical_p", "mirostat", "cache_prompt"]),
                "{named:?}"
            );
            assert_eq!(named.last(), Some(&"..."), "{named:?}");
            assert_eq!(named.len(), 17, "{named:?}");
        }
    }
    // Names that no header can have.
    let strange = json!({"a\r\nset-cookie: x": 1, "é": 1, "x".repeat(10_000): 1, "": 1});
    let taken = request(paths[0], &strange);
    assert_eq!(taken.status, 200, "{}", taken.body);
    assert!(
        taken.head.contains("x-skiplens-ignored: ..."),
        "{}",
        taken.head
    );
    assert!(!taken.head.contains("set-cookie"), "{}", taken.head);
}

/// Fields of objects in a request have the same code as its own.
#[test]
fn misspelt_fields_of_objects_are_refused_too() {
    let served = Served::new();
    for (object, name, value, word) in [
        ("skiplens", "detial", json!(true), "it may be detail"),
        (
            "stream_options",
            "include_useage",
            json!(true),
            "did you mean include_usage?",
        ),
        (
            "stream_options",
            "includeUsage",
            json!(true),
            "did you mean include_usage?",
        ),
    ] {
        let mut body = json!({"prompt": "a", "max_tokens": 1, "stream": true});
        body[object] = json!({name: value});
        let refused = served.post("/v1/completions", &body);
        assert_eq!(refused.status, 400, "{name}: {}", refused.body);
        let error = refused.json()["error"].clone();
        assert_eq!(error["param"], format!("{object}.{name}"), "{error}");
        assert_eq!(error["code"], "unknown_parameter", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(word), "{message}");
    }
    // What other servers have there.
    let foreign = json!({
        "prompt": "a", "max_tokens": 1, "stream": true,
        "stream_options": {"include_usage": true, "continuous_usage_stats": true},
    });
    assert_eq!(served.post("/v1/completions", &foreign).status, 200);
}

/// The codes of the OpenAPI document, which come from the source, are those that the documentation explains.
#[test]
fn every_code_is_documented() {
    let document = Served::new().get("/openapi.json").good();
    let codes = document["components"]["schemas"]["Code"]["enum"].clone();
    let codes: Vec<String> = serde_json::from_value(codes).unwrap();
    let page = include_str!("../../../docs/server.md");
    let (_, table) = page.split_once("| `code` |").expect("a table of codes");
    let explained = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(code, _)| code)
        .filter(|code| *code != "null");
    assert_eq!(explained.collect::<Vec<_>>(), codes);
}

/// Only so many unknown fields are compared with the known ones. Those without a value do not count.
#[test]
fn the_number_of_unknown_fields_is_bounded() {
    let served = Served::new();
    let request = |unknown: usize, value: &Value| {
        let mut body = json!({"prompt": "a", "max_tokens": 1});
        for at in 0..unknown {
            body[format!("#{at}")] = value.clone();
        }
        served.post("/v1/completions", &body)
    };
    for (unknown, value) in [(64, json!(1)), (1000, Value::Null)] {
        let taken = request(unknown, &value);
        assert_eq!(taken.status, 200, "{unknown}: {}", taken.body);
    }
    for unknown in [65, 100_000] {
        let refused = request(unknown, &json!(1));
        assert_eq!(refused.status, 400, "{unknown}: {}", refused.body);
        let error = refused.json()["error"].clone();
        assert_eq!(error["code"], "unknown_parameter", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("more than 64 unknown fields"), "{message}");
    }
}

#[test]
fn invalid_requests_are_explained() {
    let served = Served::new();
    for (method, path, body, status) in [
        ("POST", "/v1/completions", "no json", 400),
        ("POST", "/v1/completions", "[1]", 400),
        ("POST", "/v1/completions", "", 400),
        ("GET", "/v1/completions", "", 405),
        ("DELETE", "/v1/models", "", 405),
        ("GET", "/nowhere", "", 404),
        ("GET", "/v1/models/gpt-4", "", 404),
    ] {
        let reply = served.request(method, path, "", body);
        assert_eq!(reply.status, status, "{method} {path}");
        let code = match path {
            "/nowhere" => json!("not_found"),
            "/v1/models/gpt-4" => json!("model_not_found"),
            _ => Value::Null,
        };
        assert_eq!(reply.json()["error"]["code"], code, "{method} {path}");
        assert!(reply.json()["error"]["message"].is_string());
        assert!(reply.head.contains("x-request-id: "));
    }
    // Nested far too deeply.
    let deep = format!("{{\"prompt\": {}", "[".repeat(100_000));
    assert_eq!(
        served.request("POST", "/v1/completions", "", &deep).status,
        400
    );
    assert_eq!(served.get("/health").status, 200);
}

/// A body beyond the limit is refused without being stored.
#[test]
fn bodies_are_bounded() {
    let served = Served::new();
    let mut stream = TcpStream::connect(served.address).unwrap();
    let length = 1u64 << 40;
    write!(
        stream,
        "POST /v1/completions HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{{\"prompt\": \""
    )
    .unwrap();
    let part = vec![b'x'; 1 << 20];
    // The server stops reading soon after the limit.
    let sent = (0..64)
        .take_while(|_| stream.write_all(&part).is_ok())
        .count();
    assert!(sent >= 16, "{sent} MB");
    assert_eq!(served.get("/health").status, 200);
}

#[test]
fn a_key_is_required_if_the_server_has_one() {
    let served = Served::with(Options {
        api_key: Some("secret".into()),
        ..options()
    });
    for headers in [
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer wrong\r\n",
    ] {
        for (method, path) in [
            ("GET", "/v1/models"),
            ("POST", "/v1/completions"),
            ("GET", "/metrics"),
        ] {
            let reply = served.request(method, path, headers, "{}");
            assert_eq!(reply.status, 401);
            assert_eq!(reply.json()["error"]["code"], "invalid_api_key");
        }
    }
    let key = "Authorization: Bearer secret\r\n";
    assert_eq!(served.request("GET", "/v1/models", key, "").status, 200);
    assert_eq!(served.get("/health").status, 200);
    // A server without a key accepts any key, and an empty one.
    let open = Served::new();
    assert_eq!(
        open.request("GET", "/v1/models", "Authorization: Bearer \r\n", "")
            .status,
        200
    );
}

#[test]
fn browsers_may_send_requests_from_any_page() {
    let served = Served::with(Options {
        api_key: Some("secret".into()),
        ..options()
    });
    let asked = "Origin: http://page\r\nAccess-Control-Request-Headers: x-stainless-os\r\n";
    let reply = served.request("OPTIONS", "/v1/chat/completions", asked, "");
    assert_eq!(reply.status, 204);
    assert!(reply.head.contains("access-control-allow-origin: *"));
    assert!(
        reply
            .head
            .contains("access-control-allow-headers: x-stainless-os")
    );
    assert!(
        served
            .get("/v1/models")
            .head
            .contains("access-control-allow-origin: *")
    );
}

#[test]
fn a_full_queue_refuses_and_a_stopping_server_reports_it() {
    let mut served = Served::with(Options {
        queue: 1,
        ..options()
    });
    let long = json!({"prompt": "hello", "max_tokens": 100, "n": 256, "stream": true}).to_string();
    let running = served.send("POST", "/v1/completions", "", &long);
    while served.metric("vllm:generation_tokens_total") == 0.0 {}
    let waiting = served.send("POST", "/v1/completions", "", &long);
    while served.metric("vllm:num_requests_waiting") == 0.0 {}
    let refused = served.post("/v1/completions", &json!({"prompt": "a"}));
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(refused.head.contains("retry-after: 1"));
    served.stop();
    for stream in [running, waiting] {
        let reply = read(stream);
        let last = reply.events().pop().unwrap();
        assert_eq!(last["error"]["message"], "the server is shutting down");
    }
}
