//! Rooms driven against each other on one machine, without a network: what a batch, a wish or a clock does.

mod admission;
mod annotate;
mod attacks;
mod direct;
mod elect;
mod forgetting;
mod forks;
mod format;
mod former;
mod govern;
mod guests;
mod heads;
mod healing;
mod hostile;
mod instant;
mod keys;
mod leafs;
mod limits_of_grants;
mod order;
mod reach;
mod removal;
mod rules;
mod sound;
mod stored;
mod support;
mod vectors;
