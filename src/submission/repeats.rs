//! The detections that submissions stand for beside the first: a run can have a hundred thousand of
//! them, so they lie packed in one place.

/// The repeats of all submissions of a run.
///
/// Of each, one after the other: how far back the one before it of the same submission begins, how many
/// bytes it shares at its beginning with the first of the run (within an account they begin alike), how
/// many are its own, and these.
#[derive(Debug, Default)]
pub struct Repeats {
    packed: Vec<u8>,
    first: String,
}

/// Where a repeat lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(usize);

impl Repeats {
    /// Adds a detection to the submission whose last repeat so far is `before`; twice in a row, as when it
    /// names the indicator in two fields, it is added once.
    pub(super) fn add(&mut self, before: Option<Place>, id: &str) -> Place {
        if let Some(before) = before
            && self.at(before).is_some_and(|last| last.is(id))
        {
            return before;
        }
        if self.packed.is_empty() {
            id.clone_into(&mut self.first);
        }
        let place = Place(self.packed.len());
        let shared = shared(&self.first, id);
        let own = id.get(shared..).unwrap_or_default();
        push_number(&mut self.packed, before.map_or(0, |before| place.0 - before.0));
        push_number(&mut self.packed, shared);
        push_number(&mut self.packed, own.len());
        self.packed.extend_from_slice(own.as_bytes());
        place
    }

    /// A submission's repeats from its last one to its first; one that named the indicator several times
    /// may come as often.
    pub(super) fn back_from(&self, last: Option<Place>) -> impl Iterator<Item = String> {
        let mut next = last;
        std::iter::from_fn(move || {
            let repeat = self.at(next?)?;
            next = repeat.before;
            Some([repeat.shared, repeat.own].concat())
        })
    }

    fn at(&self, place: Place) -> Option<Repeat<'_>> {
        let mut packed = self.packed.get(place.0..)?;
        let back = take_number(&mut packed)?;
        let shared = take_number(&mut packed)?;
        let length = take_number(&mut packed)?;
        Some(Repeat {
            before: (back > 0).then(|| Place(place.0 - back)),
            shared: self.first.get(..shared)?,
            own: str::from_utf8(packed.get(..length)?).ok()?,
        })
    }
}

/// A repeat, unpacked.
struct Repeat<'a> {
    before: Option<Place>,
    shared: &'a str,
    own: &'a str,
}

impl Repeat<'_> {
    fn is(&self, id: &str) -> bool {
        id.strip_prefix(self.shared) == Some(self.own)
    }
}

/// Appends a number, seven bits a byte and the lowest first; the eighth bit says that more follow.
fn push_number(bytes: &mut Vec<u8>, number: usize) {
    let mut rest = number;
    loop {
        let [lowest, ..] = rest.to_le_bytes();
        rest >>= 7;
        bytes.push(if rest == 0 { lowest } else { lowest | 0x80 });
        if rest == 0 {
            return;
        }
    }
}

/// Takes the number that the bytes begin with.
fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let groups = number.iter().rev();
    Some(groups.fold(0, |number, group| (number << 7) | usize::from(group & 0x7f)))
}

/// How many bytes two texts have in common at their beginning, in whole characters.
fn shared(a: &str, b: &str) -> usize {
    let equal = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    equal.map(|(char, _)| char.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_comes_out(
            ids in prop::collection::vec((0_usize..3, "(cid:ind:|c|\u{e9})?([ab]?|.{0,200})"), 0..20),
        ) {
            let mut repeats = Repeats::default();
            let mut last = [None; 3];
            for (submission, id) in &ids {
                last[*submission] = Some(repeats.add(last[*submission], id));
            }
            for (submission, last) in last.into_iter().enumerate() {
                let of_it = ids.iter().rev().filter(|(of, _)| *of == submission);
                let mut wanted: Vec<&String> = of_it.map(|(_, id)| id).collect();
                wanted.dedup();
                let got: Vec<String> = repeats.back_from(last).collect();
                prop_assert_eq!(got.iter().collect::<Vec<_>>(), wanted);
            }
        }

        #[test]
        fn a_number_of_any_size_comes_out(
            number in prop_oneof![any::<usize>(), 0_usize..300],
            behind: Vec<u8>,
        ) {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            bytes.extend(&behind);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take_number(&mut rest), Some(number));
            prop_assert_eq!(rest, behind);
        }
    }
}
