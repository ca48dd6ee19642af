//! A list that mostly holds one: the first lies in place, and only a second one costs an allocation.

/// A few of a kind, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Few<T> {
    /// There is one wherever there are more.
    first: Option<T>,
    more: Vec<T>,
}

impl<T> Few<T> {
    /// None.
    pub const fn new() -> Self {
        Self { first: None, more: Vec::new() }
    }

    /// One.
    pub const fn of(one: T) -> Self {
        Self { first: Some(one), more: Vec::new() }
    }

    /// The first, if there is one.
    pub const fn first(&self) -> Option<&T> {
        self.first.as_ref()
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()).saturating_add(self.more.len())
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// That at `at`.
    pub fn get(&self, at: usize) -> Option<&T> {
        match at.checked_sub(1) {
            None => self.first.as_ref(),
            Some(at) => self.more.get(at),
        }
    }

    /// All, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.first.iter().chain(&self.more)
    }

    /// All, in order, to be changed.
    #[inline]
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.more)
    }

    /// One more, behind all others.
    #[inline]
    pub fn push(&mut self, one: T) {
        match self.first {
            None => self.first = Some(one),
            Some(_) => self.more.push(one),
        }
    }

    /// One more before that at `at`, or behind all others.
    pub fn insert(&mut self, at: usize, one: T) {
        match (at.checked_sub(1), &mut self.first) {
            (_, None) => self.first = Some(one),
            (None, Some(first)) => self.more.insert(0, std::mem::replace(first, one)),
            (Some(at), Some(_)) => self.more.insert(at.min(self.more.len()), one),
        }
    }

    /// Takes that at `at` out, if there is one.
    pub fn remove(&mut self, at: usize) -> Option<T> {
        match at.checked_sub(1) {
            Some(at) => (at < self.more.len()).then(|| self.more.remove(at)),
            None => {
                let next = if self.more.is_empty() { None } else { Some(self.more.remove(0)) };
                std::mem::replace(&mut self.first, next)
            }
        }
    }

    /// Takes the last out, if there is one.
    pub fn pop(&mut self) -> Option<T> {
        self.more.pop().or_else(|| self.first.take())
    }

    /// Takes out what `is_kept` does not hold of.
    pub fn retain(&mut self, is_kept: impl Fn(&T) -> bool) {
        self.more.retain(&is_kept);
        if self.first.as_ref().is_some_and(|first| !is_kept(first)) {
            self.remove(0);
        }
    }

    /// Takes out those that `is_one` tells, and gives them in order.
    pub fn take_where(&mut self, is_one: impl Fn(&T) -> bool) -> Self {
        let (mut taken, mut at) = (Self::new(), 0_usize);
        while let Some(one) = self.get(at) {
            if is_one(one) {
                self.remove(at).into_iter().for_each(|one| taken.push(one));
            } else {
                at = at.saturating_add(1);
            }
        }
        taken
    }

    /// Takes all out; the room for more stays.
    pub fn clear(&mut self) {
        self.first = None;
        self.more.clear();
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut all = all.into_iter();
        Self { first: all.next(), more: all.collect() }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

impl<T: PartialEq> Few<T> {
    /// Whether `one` is among them.
    #[inline]
    pub fn contains(&self, one: &T) -> bool {
        self.iter().any(|other| other == one)
    }
}

impl<T: Clone> Few<T> {
    /// A copy of all.
    pub fn to_vec(&self) -> Vec<T> {
        self.iter().cloned().collect()
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list() {
        let (mut few, mut list) = (Few::new(), Vec::new());
        for step in 0..1_000_usize {
            let at = step.wrapping_mul(7_919) % (list.len() + 1);
            match step % 5 {
                0 | 1 => {
                    few.push(step);
                    list.push(step);
                }
                2 => {
                    few.insert(at, step);
                    list.insert(at, step);
                }
                3 if step % 17 == 0 => {
                    let is_third = |one: &usize| one.is_multiple_of(3);
                    assert_eq!(
                        few.take_where(is_third).to_vec(),
                        list.extract_if(.., |one| is_third(one)).collect::<Vec<_>>()
                    );
                }
                3 if step % 99 == 0 => {
                    few.clear();
                    list.clear();
                }
                3 if step % 7 == 0 => {
                    few.retain(|one| one % 3 > 0);
                    list.retain(|one| one % 3 > 0);
                }
                3 if step % 2 == 0 => assert_eq!(few.pop(), list.pop()),
                _ => assert_eq!(few.remove(at), (at < list.len()).then(|| list.remove(at))),
            }
            assert_eq!(few.get(at), list.get(at));
            few.iter_mut().for_each(|one| *one += 1);
            list.iter_mut().for_each(|one| *one += 1);
            assert_eq!((few.to_vec(), few.len(), few.is_empty()), (list.clone(), list.len(), list.is_empty()));
            assert!(few.first() == list.first() && few.clone().into_iter().eq(list.iter().copied()));
            assert_eq!(list.iter().copied().collect::<Few<_>>(), few);
            assert_eq!(
                (few.contains(&step), few.contains(&(step + 1))),
                (list.contains(&step), list.contains(&(step + 1)))
            );
        }
    }
}
