//! What clients ask of the devices of this account.

use parlor_api::{Code, NotRevoked, OwnDevice, Problem, RevokedDevice, Standing};

use super::{Answer, App};
use crate::services::rooms::devices;

impl App {
    /// The devices of this account that its rooms know, this one first.
    pub async fn devices(&self) -> Answer<Vec<OwnDevice>> {
        let context = &self.node.context;
        let this = OwnDevice {
            device: context.identity.device().to_string(),
            name: context.name.clone(),
            since: None,
            this: true,
            online: true,
            rooms: Vec::new(),
            revoked: false,
            still_in: Vec::new(),
            new: false,
            contradicts_itself: false,
        };
        let mut of_rooms = Vec::new();
        for (room, _) in context.directory.all().into_iter().filter(|(_, it)| it.item.damaged.is_none()) {
            of_rooms.push(self.node.rooms.own_devices(room).await?);
        }
        let mut devices = devices::merged(this, of_rooms);
        for (new, ..) in context.own.new_ones() {
            let id = new.to_string();
            devices.iter_mut().filter(|device| device.device == id && !device.revoked).for_each(|it| it.new = true);
        }
        Ok(devices)
    }

    /// A device that came to this account is the user's: it is warned of no more. Durable when it returns.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`.
    pub async fn confirm_device(&self, device: &str) -> Answer<OwnDevice> {
        let found = devices::named(self.devices().await?, device)?;
        let id = found.device.parse().map_err(|_| Problem::of(Code::Internal))?;
        self.node.context.own.confirm(&id).await?;
        Ok(OwnDevice { new: false, ..found })
    }

    /// Whether another device of this account revoked this one.
    pub(crate) async fn is_revoked(&self) -> Answer<bool> {
        Ok(self.devices().await?.iter().any(|device| device.this && device.revoked))
    }

    /// Revokes another device of this account in all rooms that know it: durable with the keys that follow from it when it returns.
    /// Doing it again tells the rooms that were not told.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`; `conflict` for this device.
    pub async fn revoke_device(&self, device: &str) -> Answer<RevokedDevice> {
        let found = devices::named(self.devices().await?, device)?;
        if found.this {
            return Err(Problem::new(Code::Conflict, "a device does not revoke itself")
                .hint("do it from another device of this account; or leave its rooms"));
        }
        let id = found.device.parse().map_err(|_| Problem::of(Code::Internal))?;
        let mut answer = RevokedDevice { device: found.device, name: found.name, rooms: Vec::new(), left: Vec::new() };
        // Where this account is no member any more the device is none either.
        let all = self.node.context.directory.all();
        let over: Vec<String> = all
            .into_iter()
            .filter(|(_, summary)| matches!(summary.item.role, Standing::Left | Standing::Removed))
            .map(|(room, _)| room.to_string())
            .collect();
        for room in found.rooms.into_iter().filter(|room| !over.contains(room)) {
            let done = match room.parse() {
                Ok(room) => self.node.rooms.revoke_device(room, id).await,
                Err(_) => Err(Problem::of(Code::Internal)),
            };
            match done {
                Ok(()) => answer.rooms.push(room),
                Err(problem) => answer.left.push(NotRevoked { room, why: problem.detail }),
            }
        }
        Ok(answer)
    }
}
