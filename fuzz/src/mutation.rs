//! Changes bytes the ways that break parsers.
//!
//! Owns: one mutation step. Never judges the result.

use rand::{Rng, rngs::StdRng};

/// Inputs never grow past this: a parser's limits are reached with less.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// Lengths and counts at the borders of their types, big-endian.
const BORDERS: &[&[u8]] = &[
    &[0],
    &[0xff],
    &[0x80],
    &[0, 0],
    &[0x7f, 0xff],
    &[0x80, 0],
    &[0xff, 0xff],
    &[0, 0, 0, 0],
    &[0, 0, 0, 1],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0, 0, 0, 0, 0],
];

/// Applies between one and four random changes to `input`. `words` are pieces that mean something to the parser;
/// `other` is another input to splice from.
pub fn mutate(input: &mut Vec<u8>, words: &[&[u8]], other: &[u8], random: &mut StdRng) {
    for _ in 0..random.random_range(1..=4) {
        step(input, words, other, random);
    }
    input.truncate(INPUT_BYTES_MAX);
}

fn step(input: &mut Vec<u8>, words: &[&[u8]], other: &[u8], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    let until = random.random_range(at..=input.len().min(at + 64));
    match random.random_range(0..9) {
        0 => flip(input, random),
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.random();
            }
        }
        2 => drop(input.drain(at..until)),
        3 => {
            let piece = input[at..until].to_vec();
            insert(input, at, &piece);
        }
        4 => input.truncate(at),
        5 => overwrite(input, at, BORDERS[random.random_range(0..BORDERS.len())]),
        6 => insert(input, at, BORDERS[random.random_range(0..BORDERS.len())]),
        7 if !words.is_empty() => insert(input, at, words[random.random_range(0..words.len())]),
        _ => {
            let from = random.random_range(0..=other.len());
            let to = random.random_range(from..=other.len().min(from + 256));
            insert(input, at, &other[from..to]);
        }
    }
}

fn flip(input: &mut [u8], random: &mut StdRng) {
    if !input.is_empty() {
        let at = random.random_range(0..input.len());
        input[at] ^= 1 << random.random_range(0..8);
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

fn overwrite(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let end = input.len().min(at + piece.len());
    input.splice(at..end, piece.iter().copied());
}
