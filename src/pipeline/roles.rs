//! The parts that a field of a log line can play: its time, its request id, its prediction.
//!
//! Owns the closed vocabulary ([`Role`]) and the small table role → member ([`Roles`]). Which key
//! plays which role is data in [`super::aliases`]; reading a role's value is in
//! [`super::time`], [`super::latency`], [`confidence`] and [`ids`].

pub mod confidence;
pub mod ids;
pub mod token;

/// What a member of a line is to us, whatever its key is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// When it happened.
    Time,
    /// Its severity.
    Level,
    /// The sentence or event name a person reads.
    Message,
    /// A field of its own that names the event (OTel `EventName`), beside the message.
    EventName,
    /// The logger's name.
    Logger,
    /// Joins everything of one request.
    RequestId,
    /// W3C trace id, in one of the forms of [`ids::trace_id`].
    TraceId,
    /// W3C span id.
    SpanId,
    /// The model that answered.
    ModelName,
    /// Its version.
    ModelVersion,
    /// The model's input.
    Features,
    /// How many features there were.
    FeatureCount,
    /// The model's output.
    Prediction,
    /// The predicted class, where it has a member of its own.
    Label,
    /// How sure the model was, 0 to 1.
    Confidence,
    /// How long it took; units in [`super::latency`].
    Latency,
    /// HTTP or outcome status.
    Status,
    /// An error, exception or traceback.
    Error,
    /// A conversation or session.
    SessionId,
    /// Tokens read by a language model.
    InputTokens,
    /// Tokens written by a language model.
    OutputTokens,
}

impl Role {
    /// How many roles there are.
    pub const COUNT: usize = 21;

    /// All roles in the order of their numbers.
    pub const ALL: [Role; Role::COUNT] = [
        Role::Time,
        Role::Level,
        Role::Message,
        Role::EventName,
        Role::Logger,
        Role::RequestId,
        Role::TraceId,
        Role::SpanId,
        Role::ModelName,
        Role::ModelVersion,
        Role::Features,
        Role::FeatureCount,
        Role::Prediction,
        Role::Label,
        Role::Confidence,
        Role::Latency,
        Role::Status,
        Role::Error,
        Role::SessionId,
        Role::InputTokens,
        Role::OutputTokens,
    ];

    /// The role's name in conditions and columns. `latency_ms` carries the unit it is read in.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Time => "timestamp",
            Role::Level => "level",
            Role::Message => "message",
            Role::EventName => "event_name",
            Role::Logger => "logger",
            Role::RequestId => "request_id",
            Role::TraceId => "trace_id",
            Role::SpanId => "span_id",
            Role::ModelName => "model_name",
            Role::ModelVersion => "model_version",
            Role::Features => "features",
            Role::FeatureCount => "feature_count",
            Role::Prediction => "prediction",
            Role::Label => "prediction_label",
            Role::Confidence => "confidence",
            Role::Latency => "latency_ms",
            Role::Status => "status",
            Role::Error => "error",
            Role::SessionId => "session_id",
            Role::InputTokens => "input_tokens",
            Role::OutputTokens => "output_tokens",
        }
    }
}

const _: () = {
    let mut n = 0;
    while n < Role::COUNT {
        assert!(Role::ALL[n] as usize == n, "BUG: Role::ALL is out of order");
        n += 1;
    }
};

/// For each role the members that may play it, as indices into `doc.members()`: the first choice
/// by the order of names, and the one to read where the first is null (`confidence: null` beside
/// `prediction.score`). Whether a value is null is not part of a line's shape, so both are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    first: [u16; Role::COUNT],
    second: [u16; Role::COUNT],
}

/// "No member plays this role."
const NONE: u16 = u16::MAX;

impl Default for Roles {
    fn default() -> Self {
        Self { first: [NONE; Role::COUNT], second: [NONE; Role::COUNT] }
    }
}

impl Roles {
    /// The member that plays `role`.
    #[must_use]
    pub fn get(&self, role: Role) -> Option<u16> {
        some(self.first[role as usize])
    }

    /// The member that plays `role` where the first one's value is null.
    #[must_use]
    pub fn fallback(&self, role: Role) -> Option<u16> {
        some(self.second[role as usize])
    }

    /// Both, in order.
    pub fn candidates(&self, role: Role) -> impl Iterator<Item = u16> + use<> {
        [self.get(role), self.fallback(role)].into_iter().flatten()
    }

    /// Whether a member plays `role`.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.get(role).is_some()
    }

    /// Lets `first` play `role`, and `second` in its place.
    pub fn set(&mut self, role: Role, first: u16, second: Option<u16>) {
        self.first[role as usize] = first;
        self.second[role as usize] = second.unwrap_or(NONE);
    }

    /// Leaves `role` to nobody.
    pub fn clear(&mut self, role: Role) {
        self.set(role, NONE, None);
    }

    /// The roles that are played, with the first member of each.
    pub fn iter(&self) -> impl Iterator<Item = (Role, u16)> + '_ {
        Role::ALL.into_iter().filter_map(|role| self.get(role).map(|member| (role, member)))
    }
}

fn some(member: u16) -> Option<u16> {
    (member != NONE).then_some(member)
}
