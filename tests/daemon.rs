//! The whole daemon as its users meet it: the real binary, its config in a folder of its own, real
//! children and files, and a Loki on loopback. Random rounds print their seed; `SIDEWAKE_SEED`
//! repeats one, `SIDEWAKE_SLOW=1` runs many.

mod support {
    pub(crate) mod fake_loki;
    pub(crate) mod logproto;
}

mod daemon {
    mod exec;
    mod http;
    mod loki;
    mod rig;
}
