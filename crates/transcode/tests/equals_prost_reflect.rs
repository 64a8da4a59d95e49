//! Random messages of every type of the services, against prost-reflect's implementation of the
//! same mapping.

use digits_proto::json::DESCRIPTORS;
use digits_transcode::{InvalidJson, Schema};
use fastrand::Rng;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

const SERVICES: [&str; 5] = [
    "digits.v1.InferenceService",
    "digits.v1.TrainingService",
    "digits.v1.CheckpointService",
    "digits.v1.SweepService",
    "inference.GRPCInferenceService",
];
const MAX: usize = 1 << 20;

fn schema() -> Schema {
    Schema::new([digits_proto::FILE_DESCRIPTOR_SET], &SERVICES).expect("a schema")
}

/// Every message type of the services.
fn types() -> impl Iterator<Item = MessageDescriptor> {
    DESCRIPTORS
        .all_messages()
        .filter(|message| !message.is_map_entry())
        .filter(|message| !message.package_name().starts_with("google."))
}

fn random(message: &MessageDescriptor, rng: &mut Rng, depth: usize) -> DynamicMessage {
    let mut value = DynamicMessage::new(message.clone());
    match message.full_name() {
        "google.protobuf.Timestamp" => {
            value.set_field_by_number(1, Value::I64(rng.i64(-62_135_596_800..253_402_207_200)));
            value.set_field_by_number(2, Value::I32(nanos(rng)));
            return value;
        }
        "google.protobuf.Duration" => {
            value.set_field_by_number(1, Value::I64(rng.i64(0..=315_576_000_000)));
            value.set_field_by_number(2, Value::I32(nanos(rng)));
            return value;
        }
        _ => {}
    }
    for field in message.fields() {
        let is_too_deep = depth > 4 && matches!(field.kind(), Kind::Message(_));
        if is_too_deep || rng.u8(0..3) == 0 {
            continue;
        }
        let length = rng.usize(0..4);
        let field_value = if field.is_list() {
            let elements = (0..length).map(|_| random_value(&field.kind(), rng, depth));
            Value::List(elements.collect())
        } else if field.is_map() {
            let entries = (0..length).map(|_| random_entry(&field, rng, depth));
            Value::Map(entries.collect())
        } else {
            random_value(&field.kind(), rng, depth)
        };
        value.set_field(&field, field_value);
    }
    value
}

fn nanos(rng: &mut Rng) -> i32 {
    let unit = *rng.choice(&[1, 1_000, 1_000_000]).expect("three");
    rng.i32(0..1_000_000_000) / unit * unit
}

fn random_entry(field: &FieldDescriptor, rng: &mut Rng, depth: usize) -> (MapKey, Value) {
    let Kind::Message(entry) = field.kind() else {
        unreachable!("a map");
    };
    let key = format!("key {}", rng.u8(..));
    let value = entry.map_entry_value_field();
    (MapKey::String(key), random_value(&value.kind(), rng, depth))
}

fn random_value(kind: &Kind, rng: &mut Rng, depth: usize) -> Value {
    let float = *rng
        .choice(&[
            0.0,
            0.1,
            1e-9,
            3.5e20,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ])
        .expect("seven");
    match kind {
        Kind::Double => Value::F64(float),
        Kind::Float => Value::F32(float as f32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(rng.i32(..)),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(rng.i64(..)),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(rng.u32(..)),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(rng.u64(..)),
        Kind::Bool => Value::Bool(rng.bool()),
        Kind::String => {
            let texts = ["", "seven", "\"quoted\"\n\u{1}", "ß 七 \u{1f600}"];
            Value::String((*rng.choice(&texts).expect("four")).to_owned())
        }
        Kind::Bytes => {
            let length = rng.usize(0..5);
            let bytes = (0..length).map(|_| rng.u8(..));
            Value::Bytes(bytes.collect::<Vec<_>>().into())
        }
        Kind::Enum(declared) => {
            let values: Vec<_> = declared.values().map(|value| value.number()).collect();
            // Also a number that has no name.
            let known = rng.choice(&values).copied().filter(|_| rng.u8(0..8) > 0);
            Value::EnumNumber(known.unwrap_or(12_345))
        }
        Kind::Message(message) => Value::Message(random(message, rng, depth + 1)),
    }
}

fn parsed(json: &[u8]) -> serde_json::Value {
    serde_json::from_slice(json).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(json));
    })
}

#[test]
fn random_messages_have_the_same_json_and_the_same_bytes() {
    let (schema, mut rng) = (schema(), Rng::with_seed(7));
    let mut tested = 0;
    for descriptor in types() {
        let name = descriptor.full_name();
        let id = schema.message_named(name).expect("a type");
        for _ in 0..20 {
            let message = random(&descriptor, &mut rng, 0);
            let wire = message.encode_to_vec();
            let theirs = serde_json::to_vec(&message).expect("a JSON form");
            let ours = schema.to_json(id, &wire).expect("a JSON form");
            assert_eq!(parsed(&ours), parsed(&theirs), "{name}");
            for json in [ours, theirs] {
                let text = String::from_utf8_lossy(&json);
                let read = schema.to_wire(id, &json, MAX);
                let read = read.unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
                let read = DynamicMessage::decode(descriptor.clone(), &*read).expect("a message");
                // By their encoding, because NaN is not equal to itself.
                assert_eq!(
                    read.encode_to_vec().len(),
                    wire.len(),
                    "{name}: {text}\n{read:?}\n{message:?}"
                );
                let again = serde_json::to_vec(&read).expect("a JSON form");
                assert_eq!(parsed(&again), parsed(&json), "{name}");
            }
            tested += 1;
        }
    }
    assert!(tested > 1_000, "{tested}");
}

#[test]
fn what_prost_reflect_refuses_is_refused() {
    let schema = schema();
    for (name, text) in [
        ("digits.v1.PredictRequest", ""),
        ("digits.v1.PredictRequest", "[]"),
        ("digits.v1.PredictRequest", "null"),
        ("digits.v1.PredictRequest", "{"),
        ("digits.v1.PredictRequest", "{} {}"),
        ("digits.v1.PredictRequest", r#"{"modle": "digits"}"#),
        ("digits.v1.PredictRequest", r#"{"model": 7}"#),
        ("digits.v1.PredictRequest", r#"{"topK": -1}"#),
        ("digits.v1.PredictRequest", r#"{"topK": 4294967296}"#),
        ("digits.v1.PredictRequest", r#"{"topK": 1.5}"#),
        ("digits.v1.PredictRequest", r#"{"topK": "many"}"#),
        ("digits.v1.PredictRequest", r#"{"wantLogits": 1}"#),
        ("digits.v1.PredictRequest", r#"{"pixels": "%"}"#),
        ("digits.v1.PredictRequest", r#"{"expect": "EXPECT_ALL"}"#),
        (
            "digits.v1.PredictRequest",
            r#"{"pixels": "AA==", "pictures": {}}"#,
        ),
        (
            "digits.v1.PredictRequest",
            r#"{"pictures": {"encoded": "AA=="}}"#,
        ),
        (
            "digits.v1.PredictRequest",
            r#"{"pictures": {"encoded": [null]}}"#,
        ),
        (
            "digits.v1.JobSpec",
            r#"{"limits": {"deadline": "5 minutes"}}"#,
        ),
        ("digits.v1.JobSpec", r#"{"labels": {"owner": null}}"#),
        ("digits.v1.JobSpec", r#"{"labels": ["owner"]}"#),
    ] {
        let descriptor = DESCRIPTORS.get_message_by_name(name).expect("a type");
        let mut json = serde_json::Deserializer::from_str(text);
        let theirs = DynamicMessage::deserialize(descriptor, &mut json)
            .and_then(|message| json.end().map(|()| message));
        assert!(theirs.is_err(), "{text}");
        let id = schema.message_named(name).expect("a type");
        let ours = schema.to_wire(id, text.as_bytes(), MAX);
        assert!(
            matches!(ours, Err(InvalidJson::Syntax(_))),
            "{text}: {ours:?}"
        );
    }
}

#[test]
fn an_error_holds_the_beginning_of_a_text_alone() {
    let schema = schema();
    let long = "\u{7f}".repeat(1 << 20);
    for (name, text) in [
        ("digits.v1.PredictRequest", format!(r#""{long}""#)),
        (
            "digits.v1.PredictRequest",
            format!(r#"{{"pictures": "{long}"}}"#),
        ),
        (
            "digits.v1.PredictRequest",
            format!(r#"{{"pictures": {{"encoded": "{long}"}}}}"#),
        ),
        (
            "digits.v1.PredictRequest",
            format!(r#"{{"wantLogits": "{long}"}}"#),
        ),
        (
            "digits.v1.PredictRequest",
            format!(r#"{{"topK": "{long}"}}"#),
        ),
        (
            "digits.v1.PredictRequest",
            format!(r#"{{"expect": "{long}"}}"#),
        ),
        ("digits.v1.PredictRequest", format!(r#"{{"{long}": 1}}"#)),
        ("digits.v1.JobSpec", format!(r#"{{"labels": "{long}"}}"#)),
        (
            "digits.v1.JobSpec",
            format!(r#"{{"limits": {{"deadline": "{long}"}}}}"#),
        ),
    ] {
        let id = schema.message_named(name).expect("a type");
        let error = schema.to_wire(id, text.as_bytes(), 4 << 20);
        let error = error.expect_err("no such value").to_string();
        // Forty characters, of six letters each when they are escaped.
        assert!(error.len() < 400, "{} bytes: {error:.400}", error.len());
    }
}

#[test]
fn integers_that_are_rounded_are_refused() {
    let schema = schema();
    let id = schema.message_named("inference.ModelInferRequest.InferInputTensor");
    let id = id.expect("a type");
    for (number, is_read) in [
        ("9007199254740991.0", true),
        ("-1e3", true),
        ("-9223372036854775808", true),
        ("9007199254740993.0", false),
        ("9223372036854774999.0", false),
        ("-9223372036854775809", false),
        ("1e18", false),
    ] {
        for text in [
            format!(r#"{{"shape": [{number}]}}"#),
            format!(r#"{{"shape": ["{number}"]}}"#),
        ] {
            let read = schema.to_wire(id, text.as_bytes(), MAX);
            assert_eq!(read.is_ok(), is_read, "{text}: {read:?}");
        }
    }
}

#[test]
fn a_field_that_is_there_twice_is_refused() {
    let schema = schema();
    let id = schema.message_named("digits.v1.PredictRequest");
    let id = id.expect("a type");
    for text in [
        r#"{"model": "a", "model": "b"}"#,
        r#"{"topK": 1, "top_k": 1}"#,
    ] {
        let error = schema.to_wire(id, text.as_bytes(), MAX);
        let error = error.expect_err(text).to_string();
        assert!(error.contains("there twice"), "{error}");
    }
}

#[test]
fn both_names_null_and_numbers_in_strings_are_read() {
    let schema = schema();
    let id = schema.message_named("digits.v1.PredictRequest");
    let id = id.expect("a type");
    let read = |text: &str| schema.to_wire(id, text.as_bytes(), MAX);
    let expected = read(r#"{"topK": 3, "minProbability": 0.5, "expect": "EXPECT_NUMBER"}"#);
    for text in [
        r#"{"top_k": 3, "min_probability": 0.5, "expect": 1}"#,
        r#"{"topK": "3", "minProbability": "0.5", "expect": "EXPECT_NUMBER", "model": null}"#,
        r#"{"topK": 3.0, "minProbability": 5e-1, "expect": 1.0, "pixels": null}"#,
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
    for text in [
        r#"{"pixels": "-_8="}"#,
        r#"{"pixels": "-_8"}"#,
        r#"{"pixels": "+/8"}"#,
    ] {
        assert_eq!(read(text).expect(text), b"\x12\x02\xfb\xff", "{text}");
    }
}

#[test]
fn a_message_that_would_be_too_long_is_not_built() {
    let schema = schema();
    let id = schema.message_named("digits.v1.PredictRequest");
    let id = id.expect("a type");
    // Each element of one character becomes a message of two bytes.
    let elements = vec!["\"\""; 1_000].join(",");
    let text = format!(r#"{{"pictures": {{"encoded": [{elements}]}}}}"#);
    assert_eq!(
        schema.to_wire(id, text.as_bytes(), 1_000),
        Err(InvalidJson::TooLong(1_000))
    );
    assert!(schema.to_wire(id, text.as_bytes(), 2_100).is_ok());
    let text = format!(r#"{{"model": "{}"}}"#, "x".repeat(1_000));
    assert_eq!(
        schema.to_wire(id, text.as_bytes(), 1_000),
        Err(InvalidJson::TooLong(1_000))
    );
}

#[test]
fn malformed_bytes_have_no_json_form() {
    let schema = schema();
    let id = schema.message_named("digits.v1.PredictRequest");
    let id = id.expect("a type");
    for wire in [
        &[0x0a, 0x05, b'x'][..],
        &[0x0a, 0x01, 0xff],
        &[0x08, 0x01],
        &[0xff; 11],
    ] {
        assert!(schema.to_json(id, wire).is_err(), "{wire:?}");
    }
    // A field that the message does not have, of a later version.
    assert_eq!(
        schema.to_json(id, &[0xf8, 0x06, 0x01]).expect("JSON"),
        b"{}"
    );
}

#[test]
fn parameters_of_a_query_and_bytes_become_a_message() {
    let schema = schema();
    let id = schema.message_named("digits.v1.PredictRequest");
    let id = id.expect("a type");
    let parameters = [
        ("model", "true"),
        ("top_k", "3"),
        ("wantLogits", "true"),
        ("expect", "number"),
        ("minProbability", "0.5"),
    ];
    let json = br#"{"model": "true", "topK": 3, "wantLogits": true, "expect": "EXPECT_NUMBER",
                    "minProbability": 0.5}"#;
    let expected = schema.to_wire(id, json, MAX).expect("a message");
    assert_eq!(schema.parameters_to_wire(id, parameters), Ok(expected));
    for (name, value) in [
        ("topk", "3"),
        ("topK", "three"),
        ("wantLogits", "yes"),
        ("expect", "all"),
        ("pixels", "AA=="),
        ("pictures", ""),
    ] {
        let error = schema.parameters_to_wire(id, [(name, value)]);
        let error = error.expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    }
    let field = schema.bytes_field(id, "pictures.encoded").expect("a field");
    for length in [0, 1, 127, 128, 20_000] {
        let picture = vec![7; length];
        let wire = field.to_wire(&picture);
        let read = digits_proto::v1::PredictRequest::decode(&*wire).expect("a message");
        let pictures = digits_proto::v1::EncodedPictures {
            encoded: vec![picture.into()],
        };
        let pictures = digits_proto::v1::predict_request::Images::Pictures(pictures);
        assert_eq!(read.images, Some(pictures));
    }
    let pixels = schema.bytes_field(id, "pixels").expect("a field");
    assert_eq!(pixels.to_wire(b"7"), b"\x12\x017");
    for path in ["model", "pictures", "pictures.more", "model.encoded", ""] {
        assert!(schema.bytes_field(id, path).is_none(), "{path}");
    }
}
