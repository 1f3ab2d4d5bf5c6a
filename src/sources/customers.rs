//! The customers whose alerts a run reads.

use std::collections::BTreeSet;

/// Where the customer of a source's alerts is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CustomerSource {
    /// The settings name the customer by this id.
    Settings(String),
    /// The alerts name it.
    Alerts,
    /// It does not matter: the alerts of any number of customers are shared together.
    Any,
}

/// Ids are compared up to this length, in characters. Those seen have 32 hex digits.
const MAX_CHARACTERS: usize = 64;

/// The customers that alerts name. An alert that names none adds no customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Customers(BTreeSet<String>);

impl Customers {
    /// Adds a customer by its id at the vendor; case and surrounding white space do not matter.
    pub(super) fn insert(&mut self, id: &str) {
        let id = id.trim();
        if !id.is_empty() && !self.0.contains(id) {
            self.0.insert(id.chars().take(MAX_CHARACTERS).collect::<String>().to_ascii_lowercase());
        }
    }

    /// Adds the customers of another set.
    pub(crate) fn extend(&mut self, others: &Self) {
        for id in others.0.difference(&self.0).cloned().collect::<Vec<_>>() {
            self.0.insert(id);
        }
    }

    /// Returns the id of the only customer; `None` if there are none or several.
    pub(crate) fn only(&self) -> Option<&str> {
        let first = self.0.first().filter(|_| self.0.len() == 1)?;
        Some(first)
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_counted_once_in_any_spelling_and_nobody_never() {
        let mut customers = Customers::default();
        for id in ["abc1", " ABC1 ", "", "  ", "abc1"] {
            customers.insert(id);
        }
        assert_eq!((customers.len(), customers.only()), (1, Some("abc1")));
        let mut others = Customers::default();
        others.insert("abc2");
        others.insert("ABC1");
        customers.extend(&others);
        assert_eq!((customers.len(), customers.only()), (2, None));
        assert_eq!(Customers::default().only(), None);
    }
}
