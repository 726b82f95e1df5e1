//! Makes a failing schedule short: leaves events out and takes smaller numbers, as long as it still fails.

use serde_json::Value;

use crate::schedule::Schedule;

/// Events of which every pair is left out together: what one event does often depends on another.
const FEW: usize = 30;

/// A schedule that fails, and how; and how many others may still be tried.
pub(crate) struct Shorter<F> {
    pub(crate) schedule: Schedule,
    pub(crate) failure: String,
    pub(crate) tries_left: u64,
    /// How a schedule fails, where it does.
    pub(crate) fails: F,
}

impl<F: FnMut(&Schedule) -> Option<String>> Shorter<F> {
    /// Until nothing is left out or made smaller any more.
    pub(crate) fn find(&mut self) {
        while self.tries_left > 0
            && (self.without_windows() | self.without_pairs() | self.with_smaller_values())
        {}
    }

    /// Takes another schedule in its place, if that fails, too.
    fn accepts(&mut self, schedule: Schedule) -> bool {
        if self.tries_left == 0 || schedule == self.schedule {
            return false;
        }
        self.tries_left -= 1;
        match (self.fails)(&schedule) {
            Some(failure) => {
                (self.schedule, self.failure) = (schedule, failure);
                true
            }
            None => false,
        }
    }

    /// Without neighbouring events: half of them at once, then a quarter, and so on.
    fn without_windows(&mut self) -> bool {
        let mut changed = false;
        let mut size = self.schedule.events.len().max(1);
        while size > 0 {
            let mut at = 0;
            while at < self.schedule.events.len() {
                let mut schedule = self.schedule.clone();
                schedule.events.drain(at..(at + size).min(schedule.events.len()));
                if self.accepts(schedule) {
                    changed = true;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        changed
    }

    fn without_pairs(&mut self) -> bool {
        if self.schedule.events.len() > FEW {
            return false;
        }
        let mut changed = false;
        let mut second = 1;
        while second < self.schedule.events.len() {
            let left_out = (0..second).any(|first| {
                let mut schedule = self.schedule.clone();
                schedule.events.remove(second);
                schedule.events.remove(first);
                self.accepts(schedule)
            });
            changed |= left_out;
            second = if left_out { 1 } else { second + 1 };
        }
        changed
    }

    /// With a smaller number, `false` for `true`, null or an empty list in one place.
    fn with_smaller_values(&mut self) -> bool {
        let mut changed = false;
        let mut places = Vec::new();
        collect_places(&to_json(&self.schedule), String::new(), &mut places);
        for place in places {
            let Some(value) = to_json(&self.schedule).pointer(&place).cloned() else { continue };
            for smaller in smaller_values(&value) {
                let mut json = to_json(&self.schedule);
                if let Some(value) = json.pointer_mut(&place) {
                    *value = smaller;
                }
                // A value that cannot be null or empty there is no schedule.
                if serde_json::from_value(json).is_ok_and(|schedule| self.accepts(schedule)) {
                    changed = true;
                    break;
                }
            }
        }
        changed
    }
}

fn to_json(schedule: &Schedule) -> Value {
    serde_json::to_value(schedule).unwrap_or_default()
}

fn smaller_values(value: &Value) -> Vec<Value> {
    match value {
        Value::Number(number) => (0..number.as_u64().unwrap_or(0)).map(Value::from).collect(),
        Value::Bool(true) => vec![Value::Bool(false)],
        Value::Array(list) if !list.is_empty() => vec![Value::Null, Value::Array(Vec::new())],
        Value::String(_) | Value::Object(_) => vec![Value::Null],
        _ => Vec::new(),
    }
}

/// The places of all values, as JSON Pointers.
fn collect_places(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, value)| collect_places(value, format!("{at}/{n}"), places));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| collect_places(value, format!("{at}/{name}"), places));
        }
        _ => {}
    }
    places.push(at);
}
