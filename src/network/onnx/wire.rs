//! What is checked of a file's bytes before they are parsed. The parser believes lengths, for which
//! it takes memory, descends as deeply as messages nest, and does not return from numbers of too
//! many bytes.

/// Levels of messages within messages, at most: where protobuf's own parsers stop.
const DEEPEST: usize = 100;

/// Bytes of a number of 64 bits, at most.
const LONGEST: usize = 10;

/// The messages of `onnx.proto` that are parsed.
#[derive(Clone, Copy)]
pub enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    Sequence,
    Shape,
    /// One that holds no other.
    Leaf,
}

/// What a field of bytes holds.
enum Content {
    Message(Message),
    Varints,
    /// Numbers of so many bytes.
    Fixed(usize),
    Bytes,
}

impl Message {
    /// The content of a field by its number in `onnx.proto`.
    fn content(self, field: u64) -> Content {
        Content::Message(match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6) => Self::Graph,
            (Self::Model, 8 | 14) | (Self::Tensor, 13) | (Self::Shape, 1) => Self::Leaf,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5) => Self::Tensor,
            (Self::Graph, 11..=13) => Self::Value,
            (Self::Node, 5) => Self::Attribute,
            (Self::Value, 2) | (Self::Sequence, 1) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::Type, 4) => Self::Sequence,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Tensor, 4) => return Content::Fixed(4),
            (Self::Tensor, 5 | 7) => return Content::Varints,
            (Self::Tensor, 10) => return Content::Fixed(8),
            _ => return Content::Bytes,
        })
    }

    /// Checks that every length lies within the message around it, and that messages do not nest
    /// too deeply; else says what is wrong.
    pub fn check(self, bytes: &[u8]) -> Result<(), &'static str> {
        self.check_at(bytes, DEEPEST)
    }

    fn check_at(self, mut bytes: &[u8], levels: usize) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            let content = match tag & 7 {
                0 => {
                    varint(&mut bytes)?;
                    continue;
                }
                1 => {
                    take(&mut bytes, 8)?;
                    continue;
                }
                5 => {
                    take(&mut bytes, 4)?;
                    continue;
                }
                2 => {
                    let length = varint(&mut bytes)?;
                    take(&mut bytes, usize::try_from(length).unwrap_or(usize::MAX))?
                }
                _ => return Err("a field has an unknown type"),
            };
            match self.content(tag >> 3) {
                Content::Message(_) if levels == 0 => return Err("subgraphs nest too deeply"),
                Content::Message(message) => message.check_at(content, levels - 1)?,
                Content::Varints => {
                    let mut content = content;
                    while !content.is_empty() {
                        varint(&mut content)?;
                    }
                }
                Content::Fixed(bytes) if !content.len().is_multiple_of(bytes) => {
                    return Err(TRUNCATED);
                }
                Content::Fixed(_) | Content::Bytes => {}
            }
        }
        Ok(())
    }
}

const TRUNCATED: &str = "a field is truncated";

/// Takes a number in groups of seven bits, the lowest first; the last has no eighth bit.
fn varint(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    let last = bytes.iter().position(|&byte| byte < 128).ok_or(TRUNCATED)?;
    let groups = take(bytes, last + 1)?;
    let value = groups.iter().rev().try_fold(0u64, |value, &byte| {
        let room = value.leading_zeros() >= 7;
        room.then_some(value << 7 | u64::from(byte & 127))
    });
    value.filter(|_| groups.len() <= LONGEST).ok_or("a number has more than 64 bits")
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], &'static str> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(TRUNCATED)?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message in field `number` of another.
    fn within(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        let mut length = content.len();
        while length > 127 {
            bytes.push(length as u8 | 128);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(content);
        bytes
    }

    /// A graph within an attribute of a node of a graph, and so on.
    fn nest(graphs: usize) -> Vec<u8> {
        let inner = |graph: Vec<u8>, _| within(1, &within(5, &within(6, &graph)));
        within(7, &(1..graphs).fold(Vec::new(), inner))
    }

    #[test]
    fn nests_are_bounded() {
        // The model's graph is one level, each further graph three: node, attribute, graph.
        assert_eq!(Message::Model.check(&nest(34)), Ok(()));
        // A thread's stack holds what is let through.
        assert!(rten_onnx::onnx::ModelProto::parse_buf(&nest(34)).is_ok());
        assert_eq!(Message::Model.check(&nest(35)), Err("subgraphs nest too deeply"));
        assert!(Message::Model.check(&nest(100_000)).is_err());
        // Types of sequences of sequences nest too.
        let sequences = (0..50).fold(Vec::new(), |kind, _| within(4, &within(1, &kind)));
        let value = within(7, &within(11, &within(2, &sequences)));
        assert_eq!(Message::Model.check(&value), Err("subgraphs nest too deeply"));
    }

    #[test]
    fn numbers_have_64_bits_at_most() {
        let number = |bytes: &[u8]| varint(&mut &*bytes);
        assert_eq!(number(&[0xac, 0x02]), Ok(300));
        assert_eq!(number(&[&[0xff; 9][..], &[1]].concat()), Ok(u64::MAX));
        assert!(number(&[&[0xff; 9][..], &[2]].concat()).is_err());
        assert!(number(&[&[0x80; 10][..], &[0]].concat()).is_err());
        assert_eq!(number(&[0x80, 0x80]), Err(TRUNCATED));
        // Found by fuzzing: the parser alone does not come back from this name.
        let long = [&[0x12][..], &[0x80; 11]].concat();
        assert!(Message::Model.check(&long).is_err());
        let words = [&[0x80; 10][..], &[0]].concat();
        assert!(Message::Model.check(&within(7, &within(5, &within(7, &words)))).is_err());
    }

    #[test]
    fn lengths_beyond_the_message_are_refused() {
        let check = |bytes: &[u8]| Message::Model.check(bytes);
        // A name of 2^40 bytes in a graph of 2^41.
        let long = [&[0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40][..], &[0x12, 0x80, 0x80, 0x80]];
        assert_eq!(check(&[long.concat(), vec![0x80, 0x80, 0x20]].concat()), Err(TRUNCATED));
        // A tensor's words that end amid a word, floats of 7 bytes.
        let tensor = |field: u8, data: &[u8]| within(7, &within(5, &within(field, data)));
        assert_eq!(check(&tensor(7, &[0x81, 0x01])), Ok(()));
        assert_eq!(check(&tensor(7, &[0x81])), Err(TRUNCATED));
        assert_eq!(check(&tensor(4, &[0; 8])), Ok(()));
        assert_eq!(check(&tensor(4, &[0; 7])), Err(TRUNCATED));
    }
}
