//! Profiles: our own, and what others tell us of themselves.

use parlor_api::{Code, OwnProfile, Problem, Profile, UpdateProfile, Visible};

use super::{Answer, App};

impl App {
    /// Our own profile, with who may see what.
    pub async fn own_profile(&self) -> Answer<OwnProfile> {
        Ok(self.node.context.profiles.own_view())
    }

    /// Changes our profile. Durable when it returns; whoever may see it is told from then on, also who is away now.
    ///
    /// # Errors
    /// `bad_request` for a text that no profile has, `too_long`.
    pub async fn update_profile(&self, update: UpdateProfile) -> Answer<OwnProfile> {
        self.node.context.profiles.update(update).await
    }

    /// Sets our picture, or takes it away. It is made small, and nothing that stood beside it is kept.
    ///
    /// # Errors
    /// `bad_request` for what is no PNG or JPEG picture.
    pub async fn set_profile_picture(&self, picture: Option<Vec<u8>>, visible: Option<Visible>) -> Answer<OwnProfile> {
        self.node.context.profiles.set_picture(picture, visible).await
    }

    /// What somebody tells us of himself, named as for contacts.
    ///
    /// # Errors
    /// `contact_not_found`, `ambiguous`, `link_damaged`.
    pub async fn profile(&self, who: &str) -> Answer<Profile> {
        let account = self.contacts().account_of(&self.node.rooms, who).await?;
        let profiles = &self.node.context.profiles;
        if !profiles.knows(&account) {
            return Err(Problem::new(Code::ContactNotFound, "nobody you know has this account")
                .hint("parlor members ROOM and parlor contact list show whom you know"));
        }
        Ok(profiles.view(&account))
    }

    /// Our profile as others would see all of it, and those of everybody who tells us something.
    pub async fn profiles(&self) -> Answer<Vec<Profile>> {
        Ok(self.node.context.profiles.all())
    }

    /// A picture by its hash: our own, or one that somebody shows us, checked and made anew.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn picture(&self, hash: String) -> Answer<Vec<u8>> {
        let context = self.node.context.clone();
        let opened = tokio::task::spawn_blocking(move || context.profiles.picture(&context.store, &hash)).await;
        opened.map_err(|_| Problem::of(Code::Internal))?
    }

    /// A person does something: as it is told to those who may see it.
    pub(crate) fn act(&self) {
        self.node.context.profiles.act();
    }
}
