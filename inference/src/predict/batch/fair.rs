//! The order in which waiting items are computed: clients that wait get the workers in equal shares,
//! however much each of them sends (start-time fair queueing: Goyal, Vin and Cheng, IEEE/ACM
//! Transactions on Networking 5(5), 1997).

use digits_server::ClientKey;
use std::collections::HashMap;

/// A client may add an item while what it has in the queue is less than this many times what is
/// free, so that the next client finds room.
const GREED: usize = 7;

/// What each client has in the queue.
#[derive(Default)]
pub(super) struct FairOrder {
    /// The start of the item that was taken last, in multiply-adds.
    now: u64,
    clients: HashMap<ClientKey, Client>,
}

#[derive(Default)]
struct Client {
    /// Where its next item starts.
    next: u64,
    items: usize,
    bytes: usize,
}

/// An item, as the order sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    pub(super) client: ClientKey,
    /// Multiply-adds of its images.
    pub(super) work: u64,
    pub(super) bytes: usize,
}

impl FairOrder {
    /// Whether the client leaves room for others: `items` and `bytes` are free.
    pub(super) fn leaves_room(&self, client: ClientKey, items: usize, bytes: usize) -> bool {
        let Some(own) = self.clients.get(&client) else {
            return true;
        };
        own.items < items.saturating_mul(GREED) && own.bytes < bytes.saturating_mul(GREED)
    }

    /// Adds an item; those with the least start are computed first.
    pub(super) fn add(&mut self, weight: Weight) -> u64 {
        let client = self.clients.entry(weight.client).or_default();
        let start = client.next.max(self.now);
        client.next = start.saturating_add(weight.work);
        client.items += 1;
        client.bytes += weight.bytes;
        start
    }

    /// Removes an item that started at `start`.
    pub(super) fn take(&mut self, weight: Weight, start: u64) {
        self.now = self.now.max(start);
        let Some(client) = self.clients.get_mut(&weight.client) else {
            return;
        };
        client.items -= 1;
        client.bytes -= weight.bytes;
        if client.items == 0 {
            self.clients.remove(&weight.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(client: usize, work: u64) -> Weight {
        Weight {
            client: ClientKey::from(client),
            work,
            bytes: 1,
        }
    }

    #[test]
    fn clients_that_wait_take_turns_by_work() {
        let mut order = FairOrder::default();
        let mut items: Vec<_> = (0..6)
            .map(|_| (order.add(weight(1, 100)), weight(1, 100)))
            .collect();
        items.extend((0..4).map(|_| (order.add(weight(2, 50)), weight(2, 50))));
        items.sort_by_key(|(start, _)| *start);
        let clients: Vec<_> = items.iter().map(|(_, it)| it.client).collect();
        let [greedy, polite] = [1, 2].map(ClientKey::from);
        let expected = [greedy, polite, polite, greedy, polite, polite];
        assert_eq!(clients[..6], expected);
        // A newcomer does not make up for the time before.
        for (start, weight) in items.drain(..7) {
            order.take(weight, start);
        }
        assert_eq!(order.add(weight(3, 1)), order.now);
        assert!(order.now > 0);
    }

    #[test]
    fn a_client_leaves_room_and_is_forgotten_with_its_last_item() {
        let mut order = FairOrder::default();
        let one = weight(1, 1);
        let starts: Vec<_> = (0..7).map(|_| order.add(one)).collect();
        assert!(!order.leaves_room(one.client, 1, 100));
        assert!(order.leaves_room(ClientKey::from(2), 1, 100));
        for start in starts {
            order.take(one, start);
        }
        assert!(order.leaves_room(one.client, 1, 100) && order.clients.is_empty());
    }
}
