//! All documentation together.

use super::item::{GLOBAL, Item, Page, PageKind, page_of};
use super::modules;
use crate::script::lang::function::{ApiFn, Receiver};

use crate::error::Result;
use crate::script::units::libraries::Library;
use std::collections::BTreeMap;

/// What is said of namespaces and types as a whole, by the name of the page.
const ABOUT: &[(&str, &str)] = &[
    ("pictures", "A set of pictures to be measured, opened with `data::pictures`."),
    ("probe", "Probes of latents: what a simple predictor reads out of them, how they are spread, and pictures of them."),
    ("sums", "Sums of features that come in batches, made with `eval::moments`."),
    (GLOBAL, "Checks, settings, and functions by name. They need no prefix."),
    ("optimizer", "An optimizer, made with `optim::adamw` or `optim::sgd`."),
    ("paramgroup", "A group of an optimizer's parameters with rates of its own, one of `opt.groups`."),
    ("bar", "A progress bar for a loop of a script's own."),
    ("checkpoint", "A saved state of a run, opened with `train::checkpoint`."),
    ("data", "Pictures and latents on disk: data sets, their loaders, and what writes them."),
    ("encoder", "A vision model, made with `models::encoder`: a module with these methods besides those of every module."),
    ("ema", "An exponential moving average of a module's weights, made with `optim::ema`."),
    ("drawing", "A chart as a value, made with `viz::chart` or `viz::bars`."),
    ("dist", "Several processes that train together: who they are, and collectives."),
    ("eval", "Distances between sets of pictures, and between pictures."),
    ("F", "PyTorch's `torch.nn.functional`: layers and losses as functions of tensors."),
    ("float", "A number with a tensor on its right."),
    ("gradscaler", "The loss scaling that float16 needs, made with `optim::grad_scaler`."),
    ("imageset", "A data set of pictures, opened with `data::images`."),
    ("inception", "The Inception network behind FID, made with `models::inception`: a module with these methods besides those of every module."),
    ("int", "An int with a tensor on its right."),
    ("io", "Tensors and pictures in files."),
    ("latentset", "A data set of cached latents, opened with `data::latents`."),
    ("latentwriter", "Writes a data set of latents, made with `data::latent_writer`."),
    ("loader", "Batches of a data set, made with `set.loader(..)`; `for batch in loader` goes through one epoch."),
    ("lpips", "A perceptual distance, made with `models::lpips`: a module with these methods besides those of every module."),
    ("models", "The networks of latent-diffusion research: autoencoders, flow transformers, vision models, discriminators."),
    ("module", "A layer, a group of layers or a whole network: named parameters, training mode, loading and saving."),
    ("nn", "Layers, and groups of them, for networks written in a script."),
    ("npzwriter", "A `.npz` file that is written row by row, made with `io::npz_writer`."),
    ("optim", "Optimizers, gradient clipping, moving averages, loss scaling."),
    ("page", "A page for people that is being put together, begun with `report::page`."),
    ("posterior", "What an autoencoder's encoder gives: a Gaussian of each latent element."),
    ("report", "Pages for people: one HTML file with tables, charts and pictures inside of it."),
    ("run", "An open run folder, opened with `train::run`: what checkpoints hold, metrics, pictures."),
    ("samples", "A folder of generated pictures that survives a stop, made with `data::sample_writer`."),
    ("sit", "A diffusion transformer, made with `models::sit`: a module with these methods besides those of every module."),
    ("tensor", "Tensors, with PyTorch's method names. Operators take tensors and numbers on either side."),
    ("torch", "Making and joining tensors, random numbers, gradients and autocast, devices, and any operator of libtorch by name."),
    ("train", "Runs, the fit loop and checkpoints."),
    ("vae", "An autoencoder, made with `models::vae`: a module with these methods besides those of every module."),
    ("viz", "Pictures and charts."),
];

/// Everything that is documented.
#[derive(Debug, Clone, Default)]
pub struct Reference {
    /// By kind, then by name.
    pages: Vec<Page>,
}

impl Reference {
    /// The documentation of registered functions and of modules, each a name as an import writes it (`std/flow`) and its text.
    ///
    /// # Errors
    /// `E0302` for a module that does not parse.
    pub fn new<'a>(functions: &[ApiFn], modules: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Reference> {
        let mut pages: BTreeMap<String, Page> = BTreeMap::new();
        for f in functions {
            let name = page_of(f);
            let kind = match f.receiver {
                Receiver::Namespace(_) => PageKind::Namespace,
                Receiver::Global => PageKind::Global,
                Receiver::Method(..) => PageKind::Type,
                Receiver::Model(..) => PageKind::Model,
            };
            let about = || ABOUT.iter().find(|(n, _)| *n == name).map_or(String::new(), |(_, text)| (*text).to_owned());
            let page = pages.entry(name.clone()).or_insert_with(|| Page { name: name.clone(), kind, about: about(), items: Vec::new() });
            page.items.push(Item::of(f));
        }
        let mut pages: Vec<Page> = pages.into_values().collect();
        pages.iter_mut().for_each(Page::sort);
        pages.sort_by_key(|p| (p.kind as u8, p.name.to_lowercase()));
        for (name, text) in modules {
            pages.push(modules::page(name, text)?);
        }
        Ok(Reference { pages })
    }

    /// Adds the modules of a library.
    ///
    /// # Errors
    /// `E0301` for a module that cannot be read, `E0302` for one that does not parse; the others are there.
    pub fn add_library(&mut self, library: &Library) -> Result<()> {
        let mut first = Ok(());
        for name in library.modules()? {
            match library.text(&name).and_then(|text| modules::page(&name, &text)) {
                Ok(page) => self.pages.push(page),
                Err(e) => first = first.and(Err(e)),
            }
        }
        first
    }

    /// The pages: functions without a namespace, namespaces, types, modules.
    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// Everything on every page.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.pages.iter().flat_map(|p| &p.items)
    }
}
