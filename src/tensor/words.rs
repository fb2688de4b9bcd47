//! Arrays of raw words, stored in the narrowest native integer that holds their format.

use crate::numeric::Format;

/// A native integer that stores raw words.
pub trait Word: Copy + Default + Ord + Send + Sync + 'static {
    /// The smallest.
    const MIN: Self;

    /// The words of a buffer that are stored as this type.
    fn slice_mut(buffer: &mut Buffer) -> Option<&mut [Self]>;
    /// The raw word.
    fn raw(self) -> i64;
    /// The word with the value `raw`, which fits by the format's bounds (else its low bits).
    fn from_raw(raw: i64) -> Self;
}

macro_rules! words {
    ($($variant:ident $native:ident),*) => {
        $(impl Word for $native {
            const MIN: Self = $native::MIN;

            #[inline(always)]
            fn slice_mut(buffer: &mut Buffer) -> Option<&mut [Self]> {
                match buffer {
                    Buffer::$variant(words) => Some(words),
                    _ => None,
                }
            }

            #[inline(always)]
            fn raw(self) -> i64 {
                i64::from(self)
            }

            #[inline(always)]
            fn from_raw(raw: i64) -> Self {
                raw as $native
            }
        })*

        /// Storage of raw words by native integer.
        #[derive(PartialEq, Debug)]
        #[allow(missing_docs)]
        pub enum Buffer {
            $($variant(Vec<$native>)),*
        }

        impl Clone for Buffer {
            fn clone(&self) -> Self {
                match self {
                    $(Self::$variant(words) => Self::$variant(words.clone())),*
                }
            }

            fn clone_from(&mut self, from: &Self) {
                match (self, from) {
                    $((Self::$variant(words), Self::$variant(from)) => words.clone_from(from),)*
                    (words, from) => *words = from.clone(),
                }
            }
        }

        /// Consecutive words of a [`Buffer`], to be filled.
        #[derive(Debug)]
        pub(crate) enum Slots<'a> {
            $($variant(&'a mut [$native])),*
        }

        impl<'a> Slots<'a> {
            /// The first `len` words, and the others.
            ///
            /// Panics if there are fewer.
            pub fn split_at(self, len: usize) -> (Self, Self) {
                match self {
                    $(Self::$variant(slice) => {
                        let (first, others) = slice.split_at_mut(len);
                        (Self::$variant(first), Self::$variant(others))
                    })*
                }
            }
        }

        impl Words {
            /// All words, to be filled.
            pub(crate) fn slots(&mut self) -> Slots<'_> {
                match &mut self.buffer {
                    $(Buffer::$variant(words) => Slots::$variant(words)),*
                }
            }
        }

        /// Runs `$body` with `$slice` bound to the typed slice of [`Slots`].
        macro_rules! with_slots {
            ($slots:expr, $slice:ident => $body:expr) => {
                match $slots {
                    $($crate::tensor::Slots::$variant($slice) => $body),*
                }
            };
        }

        /// Runs `$body` with `$slice` bound to the typed vector of a [`Buffer`].
        macro_rules! with_words {
            ($buffer:expr, $slice:ident => $body:expr) => {
                match $buffer {
                    $($crate::tensor::Buffer::$variant($slice) => $body),*
                }
            };
        }
    };
}

words!(I8 i8, U8 u8, I16 i16, U16 u16, I32 i32, U32 u32, I64 i64);

pub(crate) use {with_slots, with_words};

/// Raw words of one tensor with their common format. Feature maps are channels-last:
/// element (channel, row, column) of a C×H×W map is at `(row · W + column) · C + channel`.
/// Weights are `[output channel][input channel of the group][kernel row][kernel column]`.
#[derive(PartialEq, Debug)]
pub struct Words {
    format: Format,
    buffer: Buffer,
}

impl Clone for Words {
    fn clone(&self) -> Self {
        Self { format: self.format, buffer: self.buffer.clone() }
    }

    fn clone_from(&mut self, from: &Self) {
        self.format = from.format;
        self.buffer.clone_from(&from.buffer);
    }
}

impl Words {
    /// `len` zero words. Operand formats have at most 32 bits; a wider one is stored as `i64` and
    /// must be signed.
    pub fn zeros(format: Format, len: usize) -> Self {
        let buffer = match (format.is_signed(), format.bits()) {
            (true, ..=8) => Buffer::I8(vec![0; len]),
            (false, ..=8) => Buffer::U8(vec![0; len]),
            (true, ..=16) => Buffer::I16(vec![0; len]),
            (false, ..=16) => Buffer::U16(vec![0; len]),
            (true, ..=32) => Buffer::I32(vec![0; len]),
            (false, ..=32) => Buffer::U32(vec![0; len]),
            _ => Buffer::I64(vec![0; len]),
        };
        Self { format, buffer }
    }

    /// The words `raw`, each of which the format contains.
    pub fn from_raw(format: Format, raw: impl ExactSizeIterator<Item = i64>) -> Self {
        let mut words = Self::zeros(format, raw.len());
        with_words!(&mut words.buffer, slice => fill(slice, raw));
        words
    }

    /// The common format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Typed storage.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Typed storage, to be filled with words of the format.
    pub fn buffer_mut(&mut self) -> &mut Buffer {
        &mut self.buffer
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        with_words!(&self.buffer, slice => slice.len())
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The raw word at `index`.
    pub fn get(&self, index: usize) -> i64 {
        with_words!(&self.buffer, slice => slice[index].raw())
    }

    /// Puts a raw word, which the format contains, at `index`.
    pub fn set(&mut self, index: usize, raw: i64) {
        with_words!(&mut self.buffer, slice => slice[index] = Word::from_raw(raw));
    }

    /// All raw words.
    pub fn to_vec(&self) -> Vec<i64> {
        with_words!(&self.buffer, slice => slice.iter().map(|&w| w.raw()).collect())
    }

    /// Number of nonzero words.
    pub fn nonzero(&self) -> usize {
        with_words!(&self.buffer, slice => slice.chunks(u8::MAX.into()).map(nonzero).sum())
    }
}

/// Number of nonzero words, of at most 255.
fn nonzero<T: Word>(words: &[T]) -> usize {
    let mut count = 0;
    for word in words {
        count += u8::from(*word != T::default());
    }
    count.into()
}

fn fill<T: Word>(slice: &mut [T], raw: impl Iterator<Item = i64>) {
    for (word, raw) in slice.iter_mut().zip(raw) {
        *word = T::from_raw(raw);
    }
}
