//! How runs begin that are about a rule whose absence shows only after many steps: the first of them are set here, and
//! what follows is random.

use milena_crds::partition::PartitionState;

use super::network::Message;
use super::store::key;
use super::world::World;
use crate::Source;

impl World {
    /// The brokers as the first partition has them: the leader, then who is behind it in replica order, around.
    fn cast(&mut self) -> Vec<usize> {
        (0..self.nodes.len()).for_each(|broker| self.learn(broker));
        let state = self.store.state(0);
        let mut cast: Vec<usize> = state.replicas.iter().map(|id| usize::try_from(*id).unwrap()).collect();
        let leader = state.replicas.iter().position(|id| Some(*id) == state.leader).unwrap();
        cast.rotate_left(leader);
        cast
    }

    fn learn(&mut self, broker: usize) {
        let newest = self.store.newest();
        self.see(broker, newest, Source::Store);
    }

    /// Some operator elects that broker.
    fn elect(&mut self, broker: usize) {
        let newest = self.store.newest();
        let next = self.store.state(0).elect(i32::try_from(broker).unwrap()).unwrap();
        self.say(|| format!("some operator elects: {next}"));
        let mut spec = self.store.version(newest).spec.clone();
        spec.partitions.insert(key(0), next.to_string());
        self.store.put(newest, spec);
    }

    /// Everything that is not late arrives.
    pub fn deliver_all(&mut self) {
        while self.net.has_arrived(self.now) {
            self.deliver();
        }
    }

    fn write(&mut self, broker: usize, count: usize) {
        (0..count).for_each(|_| self.produce(broker, 0, true));
    }

    /// A follower fetches, and is answered; then it says by the next fetch what it has.
    fn fetch(&mut self, broker: usize, times: usize) {
        for _ in 0..times {
            self.fetch_all(broker);
            self.deliver_all();
        }
    }

    /// What is sent here is late.
    fn late(&mut self, send: impl FnOnce(&mut World)) {
        let usual = std::mem::replace(&mut self.net.late, 100);
        send(self);
        self.net.late = usual;
    }

    /// Who is about to lead where nobody does.
    fn recovery_on_its_way(&self) -> Option<usize> {
        let put = |(_, message): &(i64, Message)| match message {
            Message::Put { write, .. } => {
                write.spec.partitions[&key(0)].parse::<PartitionState>().unwrap().leader
            }
            _ => None,
        };
        let elected = self.net.on_their_way.iter().find_map(put)?;
        self.store.state(0).leader.is_none().then(|| usize::try_from(elected).unwrap())
    }

    fn cut_between(&mut self, one: usize, other: usize) {
        self.net.cut.push((one, other));
    }
}

/// A leader proposes a third member, late, and that member hears no more of it.
pub fn late_proposal(world: &mut World) {
    let [leader, _, third] = world.cast()[..] else { return };
    world.fetch(third, 1);
    world.late(|world| world.propose(leader));
    world.cut_between(leader, third);
}

/// The same, and then the leader's process is killed and leads again in the same epoch, for no operator looks.
pub fn late_proposal_of_a_former_life(world: &mut World) {
    let [leader, _, third] = world.cast()[..] else { return };
    world.fetch(third, 1);
    world.late(|world| world.propose(leader));
    world.cut_between(leader, third);
    world.operators[0].paused = true;
    world.end(leader);
    world.start(leader);
    world.learn(leader);
}

/// What a follower says that it has is late, and it is cut meanwhile under another leader, of whom the first, who leads
/// again after that, has not heard.
pub fn late_fetch_of_an_earlier_epoch(world: &mut World) {
    let [leader, follower, other] = world.cast()[..] else { return };
    world.write(leader, 1);
    world.fetch(follower, 1);
    world.late(|world| world.fetch_all(follower));
    world.elect(other);
    world.learn(other);
    world.learn(follower);
    world.fetch(follower, 2);
    world.nodes[follower].paused = true;
    world.elect(leader);
    world.learn(leader);
    world.learn(other);
    world.fetch(other, 2);
}

/// The same for a disk that is replaced meanwhile.
pub fn late_fetch_of_an_earlier_disk(world: &mut World) {
    let [leader, follower] = world.cast()[..] else { return };
    world.write(leader, 3);
    world.fetch(follower, 1);
    world.late(|world| world.fetch_all(follower));
    world.new_disk(follower);
    world.start(follower);
    world.learn(follower);
    world.fetch(follower, 1);
    world.nodes[follower].paused = true;
}

/// A new leader does not know yet that its last record is committed, and a third broker lacks it.
pub fn committed_and_not_known(world: &mut World) {
    let [leader, follower, third] = world.cast()[..] else { return };
    world.write(leader, 1);
    world.fetch(follower, 1);
    world.fetch_all(follower);
    world.deliver();
    world.net.on_their_way.clear();
    world.elect(follower);
    world.learn(follower);
    world.learn(third);
}

/// A broker leads by a state that is old; the one that leads by the newest has removed it, is alone with a record, and
/// starts after a power cut.
pub fn alone_with_a_record(world: &mut World) {
    let [leader, other] = world.cast()[..] else { return };
    world.write(leader, 1);
    world.elect(other);
    world.learn(other);
    world.net.cut_off.push(other);
    world.elect(leader);
    world.learn(leader);
    let usual = std::mem::replace(&mut world.profile.misjudged, 100);
    world.propose(leader);
    world.deliver_all();
    world.profile.misjudged = usual;
    world.nodes[leader].disk.logs[0].sync();
    world.lose_power(leader);
    world.start(leader);
}

/// A follower has cut its log and fetched the rest anew when its machine loses power.
pub fn power_lost_after_a_cut(world: &mut World) {
    let [leader, follower, other] = world.cast()[..] else { return };
    world.write(leader, 2);
    world.fetch(follower, 2);
    world.nodes[follower].disk.logs[0].sync();
    world.elect(other);
    world.learn(other);
    world.write(other, 3);
    world.learn(follower);
    world.fetch(follower, 4);
    world.lose_power(follower);
}

/// A leader knows what a follower had in an earlier epoch, and another leader has had that cut since.
pub fn position_of_an_earlier_epoch(world: &mut World) {
    let [leader, follower, other] = world.cast()[..] else { return };
    world.write(leader, 1);
    world.fetch(follower, 2);
    world.elect(other);
    [other, follower, leader].into_iter().for_each(|broker| world.learn(broker));
    world.fetch(follower, 2);
    world.nodes[follower].paused = true;
    world.elect(leader);
    world.learn(leader);
    world.learn(other);
    world.fetch(other, 2);
}

/// A leader has taken a fetch, and is about to read what it answers when another leads, cuts its log and fills it anew.
/// Who asked hears nothing of that.
pub fn answer_read_late(world: &mut World) {
    let [leader, follower, other] = world.cast()[..] else { return };
    world.write(leader, 1);
    world.fetch(follower, 1);
    world.fetch_all(follower);
    world.late(World::deliver_all);
    world.net.cut_off.push(follower);
    world.elect(other);
    world.learn(other);
    world.write(other, 3);
    world.learn(leader);
    world.fetch(leader, 5);
}

/// A follower's machine loses power, and the operator, which takes the leader for dead, has not seen it yet.
pub fn power_lost_unseen(world: &mut World) {
    let [leader, follower] = world.cast()[..] else { return };
    (0..2).for_each(|broker| world.store.write_lease(broker, |_| {}));
    world.operate_all(0);
    world.write(leader, 1);
    world.fetch(follower, 2);
    world.lose_power(follower);
    world.connection_refused(leader);
}

/// All have lost power and kept everything; the one that is elected loses its disk before the election lands.
pub fn disk_lost_before_a_recovery_lands(world: &mut World) {
    let [leader, follower] = world.cast()[..] else { return };
    world.write(leader, 1);
    world.fetch(follower, 3);
    for broker in [leader, follower] {
        world.nodes[broker].disk.logs[0].sync();
        world.lose_power(broker);
        world.start(broker);
    }
    for _ in 0..100 {
        world.now += 100;
        (0..2).for_each(|broker| world.tick_all(broker));
        world.deliver_all();
        world.operate_all(0);
        if let Some(elected) = world.recovery_on_its_way() {
            world.new_disk(elected);
            return;
        }
        world.deliver_all();
    }
}

/// A partition moves, and who takes it over loses power before it leads; no operator has seen that yet.
pub fn power_lost_after_a_hand_over(world: &mut World) {
    let [leader, other] = [0, 1].map(|at| {
        let first = usize::try_from(world.store.state(0).replicas[0]).unwrap();
        if at == 0 { first } else { 1 - first }
    });
    (0..2).for_each(|broker| world.learn(broker));
    (0..2).for_each(|broker| world.store.write_lease(broker, |_| {}));
    world.write(leader, 1);
    world.asked.moves.0.insert(0, vec![i32::try_from(other).unwrap()]);
    let operate = |world: &mut World| {
        world.operate_all(0);
        world.deliver_all();
    };
    operate(world);
    (0..2).for_each(|broker| world.learn(broker));
    world.fetch(other, 2);
    world.propose(leader);
    world.deliver_all();
    operate(world);
    world.lose_power(other);
}

/// A replica says that it has everything, late; it leaves the replicas, drops its log, and is a replica again of which
/// nothing is heard.
pub fn late_fetch_of_who_left(world: &mut World) {
    let [leader, other] = world.cast()[..] else { return };
    let Some(third) = (0..world.nodes.len()).find(|broker| ![leader, other].contains(broker)) else { return };
    (0..3).for_each(|broker| world.store.write_lease(broker, |_| {}));
    world.write(leader, 1);
    world.fetch(other, 2);
    world.late(|world| world.fetch_all(other));
    let send = |world: &mut World, to: [usize; 2]| {
        world.asked.moves.0.insert(0, to.map(|broker| i32::try_from(broker).unwrap()).into());
        world.operate_all(0);
        world.deliver_all();
        [leader, third].into_iter().for_each(|broker| world.learn(broker));
    };
    send(world, [leader, third]);
    for _ in 0..3 {
        world.fetch(third, 2);
        world.propose(leader);
        world.deliver_all();
        world.learn(leader);
    }
    world.learn(other);
    world.nodes[other].paused = true;
    send(world, [leader, other]);
}
