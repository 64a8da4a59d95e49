//! Messages from random bytes: by their descriptors, so that most of them decode, or as they are.

use arbitrary::{Result, Unstructured};
use digits_proto::FILE_DESCRIPTOR_SET;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    MethodDescriptor, Value, prost::Message as _,
};
use std::sync::LazyLock;

/// Messages within messages.
const DEPTH: u32 = 6;
/// What strings mean something.
const TEXTS: [&str; 12] = [
    "",
    "digits",
    "pixels",
    "pictures",
    "UINT8",
    "FP32",
    "BYTES",
    "01a22bb0-03ff-70d4-aa6b-93dd9a62e366",
    "synthetic",
    "notebook",
    "cpu",
    "é\u{0}\n",
];

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("descriptors"));

/// The methods of services.
///
/// # Panics
/// When there is no such service.
#[must_use]
pub fn methods(services: &[&str]) -> Vec<MethodDescriptor> {
    let services = services.iter().map(|name| {
        let service = POOL.get_service_by_name(name);
        service.unwrap_or_else(|| panic!("there is no service {name}"))
    });
    services
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect()
}

/// A call that `data` stands for: the method, and its messages in their encoded form.
#[must_use]
pub fn call<'a>(
    methods: &'a [MethodDescriptor],
    data: &[u8],
) -> (&'a MethodDescriptor, Vec<Vec<u8>>) {
    let [number, form, rest @ ..] = data else {
        return (&methods[0], Vec::new());
    };
    let method = &methods[usize::from(*number) % methods.len()];
    // As they are: one message.
    if form.is_multiple_of(4) {
        return (method, vec![rest.to_vec()]);
    }
    let mut source = Unstructured::new(rest);
    let count = if method.is_client_streaming() {
        1 + form / 64
    } else {
        1
    };
    let messages = (0..count).map(|_| message(&method.input(), &mut source, DEPTH));
    (
        method,
        messages.map(|message| message.encode_to_vec()).collect(),
    )
}

/// A message of this kind. What the bytes do not suffice for is left out.
#[must_use]
pub fn message(
    descriptor: &MessageDescriptor,
    source: &mut Unstructured<'_>,
    depth: u32,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if source.is_empty() {
            break;
        }
        if source.ratio(1, 3).unwrap_or(false)
            && let Ok(Some(value)) = value(&field, source, depth)
        {
            message.set_field(&field, value);
        }
    }
    message
}

fn value(
    field: &FieldDescriptor,
    source: &mut Unstructured<'_>,
    depth: u32,
) -> Result<Option<Value>> {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else {
            return Ok(None);
        };
        let key = text(source)?;
        let value = one(&entry.map_entry_value_field().kind(), source, depth)?;
        let entries = value.map(|value| (MapKey::String(key), value));
        return Ok(Some(Value::Map(entries.into_iter().collect())));
    }
    if field.is_list() {
        let count = source.int_in_range(0..=4)?;
        let values = (0..count).map(|_| one(&field.kind(), source, depth));
        let values: Vec<Option<Value>> = values.collect::<Result<_>>()?;
        return Ok(Some(Value::List(values.into_iter().flatten().collect())));
    }
    one(&field.kind(), source, depth)
}

/// A value that is no list; nothing where messages are too deep in each other.
fn one(kind: &Kind, source: &mut Unstructured<'_>, depth: u32) -> Result<Option<Value>> {
    Ok(Some(match kind {
        Kind::Double => Value::F64(number(source)?),
        Kind::Float => Value::F32(number(source)? as f32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number(source)? as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number(source)? as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number(source)? as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number(source)? as u64),
        Kind::Bool => Value::Bool(source.arbitrary()?),
        Kind::String => Value::String(text(source)?),
        Kind::Bytes => Value::Bytes(bytes(source)?.into()),
        Kind::Enum(_) => Value::EnumNumber(source.int_in_range(-1..=8)?),
        Kind::Message(_) if depth == 0 => return Ok(None),
        Kind::Message(inner) => Value::Message(message(inner, source, depth - 1)),
    }))
}

/// Mostly small, sometimes anything.
fn number(source: &mut Unstructured<'_>) -> Result<f64> {
    Ok(match source.int_in_range(0..=5)? {
        0 => f64::from(source.arbitrary::<i8>()?),
        1 => source.arbitrary::<i64>()? as f64,
        2 => source.arbitrary()?,
        3 => f64::from(source.arbitrary::<u8>()?) / 256.0,
        4 => 784.0,
        _ => 1.0,
    })
}

fn text(source: &mut Unstructured<'_>) -> Result<String> {
    if source.ratio(1, 4)? {
        return Ok(source.arbitrary::<&str>()?.to_owned());
    }
    source.choose(&TEXTS).map(|text| (*text).to_owned())
}

fn bytes(source: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(match source.int_in_range(0..=2)? {
        0 => vec![source.arbitrary()?; 784],
        1 => vec![0; 784 * source.int_in_range(0..=3)?],
        _ => source.arbitrary::<&[u8]>()?.to_vec(),
    })
}

/// The path of a method.
#[must_use]
pub fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}
