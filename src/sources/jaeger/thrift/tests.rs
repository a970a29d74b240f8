//! Both encodings, held against a writer that knows nothing of the reader.

use proptest::prelude::*;

use super::*;
use crate::sources::jaeger::tests::tree::{Tree, text, written};

const ENCODINGS: [Encoding; 2] = [Encoding::Compact, Encoding::Binary];

/// Whatever a value is, it is passed over whole and to the byte.
#[test]
fn every_type_is_passed_over() {
    let scalars = [
        Tree::Bool(true),
        Tree::Bool(false),
        Tree::I8(0xff),
        Tree::I16(i16::MIN),
        Tree::I32(i32::MIN),
        Tree::I64(i64::MIN),
        Tree::Double(-0.0),
        text("é"),
        Tree::Uuid([7; 16]),
    ];
    for scalar in scalars {
        let list = Tree::List(vec![scalar.clone(); 3]);
        let all = vec![
            scalar.clone(),
            list.clone(),
            Tree::List(vec![scalar.clone(); 20]),
            Tree::Set(vec![scalar.clone()]),
            Tree::Map(vec![(scalar.clone(), list.clone()), (scalar, list)]),
            Tree::Map(vec![]),
            Tree::List(vec![]),
        ];
        // Ids that are near, far, and behind the one before.
        for ids in [[1, 2, 3, 4, 5, 6, 7], [9, 200, 201, -5, 32_767, -32_768, 1]] {
            let fields = ids.into_iter().zip(all.clone()).collect();
            let tree = Tree::Struct(vec![(1, Tree::Struct(fields)), (2, Tree::I64(-77))]);
            ENCODINGS.iter().for_each(|encoding| check_last(&tree, *encoding));
        }
    }
}

/// The first field is passed over; the second is then found.
fn check_last(tree: &Tree, encoding: Encoding) {
    let bytes = written(tree, encoding);
    let (mut reader, mut last_id) = (Reader::new(&bytes, encoding), 0);
    assert_eq!(reader.field(&mut last_id), Ok(Some((1, Type::Struct))));
    assert_eq!(reader.skip(Type::Struct), Ok(()), "{encoding:?} {tree:?}");
    assert_eq!(reader.field(&mut last_id), Ok(Some((2, Type::I64))), "{encoding:?} {tree:?}");
    assert_eq!(reader.i64(), Ok(-77));
    assert_eq!(reader.field(&mut last_id), Ok(None));
    assert!(reader.bytes.is_empty());
}

#[test]
fn values() {
    for encoding in ENCODINGS {
        let tree = Tree::Struct(vec![
            (1, Tree::I32(-1)),
            (2, Tree::I64(i64::MAX)),
            (3, Tree::Double(0.1)),
            (4, text("a")),
            (5, Tree::Bool(true)),
            (6, Tree::Bool(false)),
        ]);
        let bytes = written(&tree, encoding);
        let (mut reader, mut last_id) = (Reader::new(&bytes, encoding), 0);
        let mut next = |reader: &mut Reader| reader.field(&mut last_id).expect("a field");
        assert_eq!(next(&mut reader), Some((1, Type::I32)));
        assert_eq!(reader.i32(), Ok(-1));
        assert_eq!(next(&mut reader), Some((2, Type::I64)));
        assert_eq!(reader.i64(), Ok(i64::MAX));
        assert_eq!(next(&mut reader), Some((3, Type::Double)));
        assert_eq!(reader.double(), Ok(0.1));
        assert_eq!(next(&mut reader), Some((4, Type::Bytes)));
        assert_eq!(reader.bytes(), Ok(&b"a"[..]));
        assert_eq!(next(&mut reader), Some((5, Type::Bool)));
        assert_eq!(reader.bool(), Ok(true));
        assert_eq!(next(&mut reader), Some((6, Type::Bool)));
        assert_eq!(reader.bool(), Ok(false));
        assert_eq!(next(&mut reader), None);
    }
}

/// Booleans in a list are bytes, and writers differ about false.
#[test]
fn booleans_in_a_list() {
    for encoding in ENCODINGS {
        let read = |byte| Reader::new(&[byte], encoding).bool();
        assert_eq!([0, 1, 2].map(read), [Ok(false), Ok(true), Ok(false)]);
    }
}

#[test]
fn what_is_refused() {
    let skip = |kind, bytes: &[u8], encoding| Reader::new(bytes, encoding).skip(kind);
    use Encoding::{Binary, Compact};
    for (what, kind, bytes, encoding, error) in [
        ("nothing", Type::I64, &b""[..], Compact, ThriftError::Cut),
        ("half a number", Type::I64, b"\0\0\0\0", Binary, ThriftError::Cut),
        ("an open varint", Type::I64, b"\xff\xff", Compact, ThriftError::Cut),
        ("an endless varint", Type::I64, &[0xff; 11], Compact, ThriftError::Number),
        (
            "65 bits",
            Type::I64,
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            Compact,
            ThriftError::Number,
        ),
        ("33 bits", Type::I32, b"\xff\xff\xff\xff\x7f", Compact, ThriftError::Number),
        ("17 bits", Type::I16, b"\xff\xff\x7f", Compact, ThriftError::Number),
        ("a long text", Type::Bytes, b"\x05abcd", Compact, ThriftError::Cut),
        ("a text of 4 GB", Type::Bytes, b"\xff\xff\xff\xff\x0f", Compact, ThriftError::Cut),
        ("more than 4 GB", Type::Bytes, b"\xff\xff\xff\xff\xff\x0f", Compact, ThriftError::Cut),
        ("a negative length", Type::Bytes, b"\xff\xff\xff\xff", Binary, ThriftError::Cut),
        ("a long list", Type::List, b"\xf3\xff\xff\xff\xff\x07", Compact, ThriftError::Cut),
        ("a long list", Type::List, b"\x0c\x7f\xff\xff\xff\0", Binary, ThriftError::Cut),
        ("a long map", Type::Map, b"\xff\xff\xff\xff\x07\x33", Compact, ThriftError::Cut),
        ("a list of what", Type::List, b"\x1e\0", Compact, ThriftError::Type(14)),
        ("a list of what", Type::List, b"\x05\0\0\0\x01\0", Binary, ThriftError::Type(5)),
        ("a field of what", Type::Struct, b"\x1f", Compact, ThriftError::Type(15)),
        ("a field of what", Type::Struct, b"\x20\0\x01", Binary, ThriftError::Type(32)),
        ("an open struct", Type::Struct, b"\x11", Compact, ThriftError::Cut),
        ("lists in lists", Type::List, &[0x19; 100], Compact, ThriftError::Depth),
        ("structs in structs", Type::Struct, &[0x1c; 100], Compact, ThriftError::Depth),
        ("maps in maps", Type::Map, &[1, 0xbb].repeat(50), Compact, ThriftError::Depth),
    ] {
        assert_eq!(skip(kind, bytes, encoding), Err(error), "{what}, {encoding:?}");
    }
}

proptest! {
    #[test]
    fn numbers_come_back(i64 in any::<i64>(), i32 in any::<i32>(), double in any::<f64>()) {
        for encoding in ENCODINGS {
            let of = |tree| written(&tree, encoding);
            prop_assert_eq!(Reader::new(&of(Tree::I64(i64)), encoding).i64(), Ok(i64));
            prop_assert_eq!(Reader::new(&of(Tree::I32(i32)), encoding).i32(), Ok(i32));
            let read = Reader::new(&of(Tree::Double(double)), encoding).double();
            prop_assert_eq!(read.map(f64::to_bits), Ok(double.to_bits()));
        }
    }
}
