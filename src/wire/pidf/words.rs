//! The words of RPID (RFC 4480) and of place types (RFC 4589), and sets of them.
//!
//! A word's number in its enumeration is what is stored: new ones come last.

use serde::{Deserialize, Serialize};

/// Declares an enumeration of words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($word:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $word,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$word,)*];
            const NAMES: &[&'static str] = &[$($text,)*];

            /// The word as documents have it.
            pub const fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }

            /// The word that a name stands for, in any case.
            pub fn from_name(name: &str) -> Option<Self> {
                let at = Self::NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
                Some(Self::ALL[at])
            }
        }
    };
}

/// Declares a set of words.
macro_rules! set {
    ($(#[$doc:meta])* $name:ident($bits:ty) of $word:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        pub struct $name($bits);

        const _: () = assert!($word::ALL.len() <= <$bits>::BITS as usize);

        impl $name {
            /// The empty set.
            pub const NONE: Self = Self(0);

            /// The set of some words.
            pub const fn of(words: &[$word]) -> Self {
                let (mut set, mut i) = (0, 0);
                while i < words.len() {
                    set |= 1 << words[i] as u8;
                    i += 1;
                }
                Self(set)
            }

            /// Adds a word.
            pub fn insert(&mut self, word: $word) {
                self.0 |= 1 << word as u8;
            }

            /// Takes out a word.
            pub fn remove(&mut self, word: $word) {
                self.0 &= !(1 << word as u8);
            }

            /// The words of both.
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Whether a word is in it.
            pub const fn contains(self, word: $word) -> bool {
                self.0 & 1 << word as u8 != 0
            }

            /// Whether the sets have a word in common.
            pub const fn has_any(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// Whether there is none in it.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Its words.
            pub fn iter(self) -> impl Iterator<Item = $word> {
                $word::ALL.iter().copied().filter(move |word| self.contains(*word))
            }

            /// The names of its words.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                self.iter().map($word::name)
            }
        }

        impl FromIterator<$word> for $name {
            fn from_iter<I: IntoIterator<Item = $word>>(words: I) -> Self {
                let mut set = Self::NONE;
                words.into_iter().for_each(|word| set.insert(word));
                set
            }
        }
    };
}

words! {
    /// What a person does (RFC 4480 §3.2).
    Activity {
        Appointment = "appointment",
        Away = "away",
        Breakfast = "breakfast",
        Busy = "busy",
        Dinner = "dinner",
        Holiday = "holiday",
        InTransit = "in-transit",
        LookingForWork = "looking-for-work",
        Lunch = "lunch",
        Meal = "meal",
        Meeting = "meeting",
        OnThePhone = "on-the-phone",
        Other = "other",
        Performance = "performance",
        PermanentAbsence = "permanent-absence",
        Playing = "playing",
        Presentation = "presentation",
        Shopping = "shopping",
        Sleeping = "sleeping",
        Spectator = "spectator",
        Steering = "steering",
        Travel = "travel",
        Tv = "tv",
        Unknown = "unknown",
        Vacation = "vacation",
        Working = "working",
        Worship = "worship",
    }
}

set! {
    /// What a person does: any number of activities.
    Activities(u32) of Activity
}

words! {
    /// How a person feels (RFC 4480 §3.10).
    Mood {
        Afraid = "afraid",
        Amazed = "amazed",
        Angry = "angry",
        Annoyed = "annoyed",
        Anxious = "anxious",
        Ashamed = "ashamed",
        Bored = "bored",
        Brave = "brave",
        Calm = "calm",
        Cold = "cold",
        Confused = "confused",
        Contented = "contented",
        Cranky = "cranky",
        Curious = "curious",
        Depressed = "depressed",
        Disappointed = "disappointed",
        Disgusted = "disgusted",
        Distracted = "distracted",
        Embarrassed = "embarrassed",
        Excited = "excited",
        Flirtatious = "flirtatious",
        Frustrated = "frustrated",
        Grumpy = "grumpy",
        Guilty = "guilty",
        Happy = "happy",
        Hot = "hot",
        Humbled = "humbled",
        Humiliated = "humiliated",
        Hungry = "hungry",
        Hurt = "hurt",
        Impressed = "impressed",
        InAwe = "in_awe",
        InLove = "in_love",
        Indignant = "indignant",
        Interested = "interested",
        Invincible = "invincible",
        Jealous = "jealous",
        Lonely = "lonely",
        Mean = "mean",
        Moody = "moody",
        Nervous = "nervous",
        Neutral = "neutral",
        Offended = "offended",
        Other = "other",
        Playful = "playful",
        Proud = "proud",
        Relieved = "relieved",
        Remorseful = "remorseful",
        Restless = "restless",
        Sad = "sad",
        Sarcastic = "sarcastic",
        Serious = "serious",
        Shocked = "shocked",
        Shy = "shy",
        Sick = "sick",
        Sleepy = "sleepy",
        Stressed = "stressed",
        Surprised = "surprised",
        Thirsty = "thirsty",
        Unknown = "unknown",
        Worried = "worried",
    }
}

set! {
    /// How a person feels: any number of moods.
    Moods(u64) of Mood
}

words! {
    /// What kind of place it is (RFC 4589 §4).
    PlaceType {
        Aircraft = "aircraft",
        Airport = "airport",
        Arena = "arena",
        Automobile = "automobile",
        Bank = "bank",
        Bar = "bar",
        Bicycle = "bicycle",
        Bus = "bus",
        BusStation = "bus-station",
        Cafe = "cafe",
        Classroom = "classroom",
        Club = "club",
        Construction = "construction",
        ConventionCenter = "convention-center",
        Government = "government",
        Hospital = "hospital",
        Hotel = "hotel",
        Industrial = "industrial",
        Library = "library",
        Motorcycle = "motorcycle",
        Office = "office",
        Other = "other",
        Outdoors = "outdoors",
        Parking = "parking",
        PlaceOfWorship = "place-of-worship",
        Prison = "prison",
        Public = "public",
        PublicTransport = "public-transport",
        Residence = "residence",
        Restaurant = "restaurant",
        School = "school",
        ShoppingArea = "shopping-area",
        Stadium = "stadium",
        Store = "store",
        Street = "street",
        Theater = "theater",
        Train = "train",
        TrainStation = "train-station",
        Truck = "truck",
        Underway = "underway",
        Unknown = "unknown",
        Warehouse = "warehouse",
        Water = "water",
        Watercraft = "watercraft",
    }
}

words! {
    /// What role a person is in (RFC 4480 §3.16).
    Sphere {
        Home = "home",
        Work = "work",
    }
}

words! {
    /// Whether a person uses a device (RFC 4480 §3.19).
    UserInput {
        Active = "active",
        Idle = "idle",
    }
}

/// What formats and people with fewer words make of activities. The sets don't overlap.
impl Activities {
    /// Kept by something: better not disturbed.
    pub const BUSY: Self = Self::of(&[
        Activity::Appointment,
        Activity::Busy,
        Activity::Meeting,
        Activity::Performance,
        Activity::Presentation,
        Activity::Steering,
        Activity::Worship,
    ]);
    /// At a meal.
    pub const EATING: Self = Self::of(&[Activity::Breakfast, Activity::Dinner, Activity::Lunch, Activity::Meal]);
    /// Not where she usually is, or not to be had. One in transit is not among them: that is how clients that know `be
    /// right back` say it.
    pub const AWAY: Self = Self::of(&[
        Activity::Away,
        Activity::Holiday,
        Activity::PermanentAbsence,
        Activity::Playing,
        Activity::Shopping,
        Activity::Sleeping,
        Activity::Spectator,
        Activity::Travel,
        Activity::Tv,
        Activity::Vacation,
    ]);
}
