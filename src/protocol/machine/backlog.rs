//! Messages of open chunks that may be claimed, by where they go. A site that takes no mail now, or little, may have
//! many of them; they are not looked at until it does.

use super::opened::Site;
use super::waiting::Waiting;
use super::{CycleView, Machine, Phase};
use crate::domain::ids::{Offset, RunKey};
use crate::protocol::ledger::RunState;
use crate::protocol::positions::Positions;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Messages of a chunk and site that stay in memory though they may not go now.
const KEPT: usize = 16;

/// Free messages of each site that are no lines of suppressed recipients.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    sites: BTreeMap<Site, BTreeMap<Offset, Positions>>,
    /// The sites of each chunk above.
    chunks: BTreeMap<Offset, Vec<Site>>,
    /// Chunks whose sets have changed since.
    changed: BTreeSet<Offset>,
}

impl Backlog {
    /// The sets of a chunk change, or it is not open any more.
    pub fn change(&mut self, offset: Offset) {
        self.changed.insert(offset);
    }

    /// How many messages each site has.
    fn counts(&self) -> impl Iterator<Item = (&Site, usize)> {
        let sites = self.sites.iter();
        sites.map(|(site, chunks)| (site, chunks.values().map(Positions::count).sum()))
    }

    /// Each site, and the chunks with free messages for it by offset.
    fn by_site(&self) -> impl Iterator<Item = (&Site, &BTreeMap<Offset, Positions>)> {
        self.sites.iter()
    }

    /// The same, and the first is the one after this site.
    fn by_site_after(
        &self,
        after: Option<&Site>,
    ) -> impl Iterator<Item = (&Site, &BTreeMap<Offset, Positions>)> {
        let later = after.map_or(Bound::Unbounded, |site| Bound::Excluded(site.clone()));
        let later = self.sites.range((later, Bound::Unbounded));
        let earlier = after.map(|site| self.sites.range(..=site.clone()));
        later.chain(earlier.into_iter().flatten())
    }

    fn remove(&mut self, offset: Offset) {
        for site in self.chunks.remove(&offset).unwrap_or_default() {
            if let Some(chunks) = self.sites.get_mut(&site) {
                chunks.remove(&offset);
                if chunks.is_empty() {
                    self.sites.remove(&site);
                }
            }
        }
    }

    fn add<'a>(&mut self, offset: Offset, free: impl Iterator<Item = (&'a Site, Positions)>) {
        let mut sites = Vec::new();
        for (site, positions) in free {
            let chunks = self.sites.entry(site.clone()).or_default();
            chunks.insert(offset, positions);
            sites.push(site.clone());
        }
        if !sites.is_empty() {
            self.chunks.insert(offset, sites);
        }
    }
}

impl Machine {
    /// Brings the backlog up to date.
    pub(super) fn update_backlog(&mut self) {
        for offset in std::mem::take(&mut self.backlog.changed) {
            self.backlog.remove(offset);
            let open = self.progress.open.get(&offset);
            if let (Some(open), Some(opened)) = (open, self.chunks.get(&offset)) {
                let free = opened.free(open).without(&opened.suppressed);
                self.backlog.add(offset, opened.by_site(&free));
            }
        }
    }

    /// Messages that may be claimed now, no more than `limit` of each run and site. Sites take turns: the first is the one
    /// after this.
    pub(super) fn ready<'a>(
        &'a self,
        view: &'a CycleView<'a>,
        limit: usize,
        after: Option<&Site>,
    ) -> impl Iterator<Item = Waiting<'a>> {
        self.waiting_for(view, view.room, limit, after)
    }

    /// Messages that wait for nothing but their turn: their sites take them.
    pub(super) fn flowing<'a>(
        &'a self,
        view: &'a CycleView<'a>,
        limit: usize,
    ) -> impl Iterator<Item = Waiting<'a>> {
        self.waiting_for(view, view.flow, limit, None)
    }

    /// Due messages: of each run and site as many as the site has room for, and no more than `limit`.
    fn waiting_for<'a>(
        &'a self,
        view: &'a CycleView<'a>,
        room: &'a dyn Fn(&str) -> usize,
        limit: usize,
        after: Option<&Site>,
    ) -> impl Iterator<Item = Waiting<'a>> {
        let is_active = self.phase == Phase::Active;
        let sites = self.backlog.by_site_after(after);
        let sites = sites.filter(move |_| is_active);
        sites.flat_map(move |(site, chunks)| {
            let room = room(site);
            match room.min(limit) {
                0 => Vec::new(),
                most => self.waiting_at(view, site, chunks, (most, room < usize::MAX)),
            }
        })
    }

    /// Messages to one site, of each run `most` at the most.
    fn waiting_at<'a>(
        &'a self,
        view: &CycleView,
        site: &'a Site,
        chunks: &BTreeMap<Offset, Positions>,
        (most, is_limited): (usize, bool),
    ) -> Vec<Waiting<'a>> {
        let mut left: BTreeMap<RunKey, usize> = BTreeMap::new();
        let mut waiting = Vec::new();
        for (offset, free) in chunks {
            let Some((run, due)) = self.due_of(*offset, free, view) else {
                continue;
            };
            let left = left.entry(run).or_insert(most);
            if *left == 0 || !view.ledger.may_send(run, view.now) {
                continue;
            }
            let positions: Positions = due.iter().take(*left).collect();
            *left -= positions.count();
            if !positions.is_empty() {
                waiting.push(Waiting {
                    site,
                    offset: *offset,
                    run,
                    positions,
                    is_limited,
                });
            }
        }
        waiting
    }

    /// Messages of open chunks that are not claimed, by site.
    pub fn unclaimed(&self) -> impl Iterator<Item = (&Site, usize)> {
        self.backlog.counts()
    }

    /// How many messages to each of these sites could be claimed if it took them, counted no further than `limit`.
    pub fn sendable<'a>(
        &'a self,
        is_counted: impl Fn(&str) -> bool + 'a,
        view: &'a CycleView,
        limit: usize,
    ) -> impl Iterator<Item = (&'a str, usize)> {
        let is_active = self.phase == Phase::Active;
        let sites = self.backlog.by_site();
        let counted = sites.filter(move |(site, _)| is_active && is_counted(site));
        counted.map(move |(site, chunks)| {
            let mut count = 0;
            for (offset, free) in chunks {
                if count >= limit {
                    break;
                }
                if let Some((run, due)) = self.due_of(*offset, free, view)
                    && view.ledger.may_send(run, view.now)
                {
                    count += due.count();
                }
            }
            (site.as_ref(), count.min(limit))
        })
    }

    /// The chunk's run, and which of these messages are due.
    fn due_of(
        &self,
        offset: Offset,
        free: &Positions,
        view: &CycleView,
    ) -> Option<(RunKey, Positions)> {
        let open = self.progress.open.get(&offset)?;
        let opened = self.chunks.get(&offset)?;
        let due = match opened.due {
            None => free.clone(),
            Some(_) => {
                let due = free.iter();
                due.filter(|position| self.is_due(opened, *position, view.now))
                    .collect()
            }
        };
        Some((open.run, due))
    }

    /// An open chunk of which something is needed now that is not in memory: it may go, or its run has ended.
    pub(super) fn unloaded(&self, view: &CycleView) -> Option<Offset> {
        let incomplete = self.opened();
        let mut incomplete = incomplete
            .filter(|(_, _, opened)| !opened.unloaded().is_empty())
            .peekable();
        incomplete.peek()?;
        let mut ready: BTreeMap<Offset, Positions> = BTreeMap::new();
        for waiting in self.ready(view, super::READ_AHEAD, None) {
            let positions = ready.entry(waiting.offset).or_default();
            *positions = positions.with(&waiting.positions);
        }
        let needed = incomplete.find(|(offset, open, opened)| {
            let may_go = ready.get(offset);
            may_go.is_some_and(|positions| !positions.and(opened.unloaded()).is_empty())
                || view.ledger.has_expired(open.run, view.now)
                || view.ledger.run_state(open.run, view.now) == RunState::Cancelled
        });
        needed.map(|(offset, ..)| offset)
    }

    /// Drops messages from memory that will not go soon: of each chunk all but a few of each site that takes few.
    pub fn unload(&mut self, view: &CycleView) {
        for (offset, opened) in &mut self.chunks {
            let Some(open) = self.progress.open.get(offset) else {
                continue;
            };
            let held = opened.free(open).without(opened.unloaded());
            let mut unloaded = Positions::default();
            for (site, positions) in opened.by_site(&held.without(&opened.suppressed)) {
                if (view.room)(site) < KEPT {
                    let rest: Positions = positions.iter().skip(KEPT).collect();
                    unloaded = unloaded.with(&rest);
                }
            }
            opened.unload(&unloaded);
        }
    }
}
