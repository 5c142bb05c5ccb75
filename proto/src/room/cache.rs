//! A bounded map that forgets what was not used lately.

use std::collections::HashMap;
use std::hash::Hash;

/// At most `capacity` values. Two generations: what is looked up moves to the young one; when that is half of the
/// capacity, the old one is dropped and the young one becomes old. Every step costs one or two look-ups.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    capacity: usize,
}

impl<K: Hash + Eq + Clone, V> Cache<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), capacity }
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if let Some(value) = self.old.remove(key) {
            self.put(key.clone(), value);
        }
        self.young.get_mut(key)
    }

    /// Looks without counting as use.
    pub(super) fn peek(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.capacity / 2 && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// Forgets all but these.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        self.young.retain(|key, _| keep(key));
        self.old.retain(|key, _| keep(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let mut cache = Cache::new(8);
        cache.put(0, "kept");
        for key in 1..1_000 {
            cache.put(key, "passing");
            assert_eq!(cache.get_mut(&0), Some(&mut "kept"));
            assert!(cache.young.len() + cache.old.len() <= 8);
        }
        assert_eq!(cache.peek(&1), None);
    }
}
