//! Methods and paths.

/// The methods that endpoints have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads. HEAD is answered, too: as GET, without the body.
    Get,
    /// Makes something. Has a JSON body.
    Post,
    /// Changes something. Has a JSON body.
    Patch,
    /// Removes something.
    Delete,
}

impl Method {
    /// Its name in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether requests would change something.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Get)
    }

    /// Whether requests have a body.
    pub const fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Patch)
    }

    /// The raw method is compared: the platform's own type reads an unknown one as GET.
    fn takes(self, method: &str) -> bool {
        method == self.as_str() || self == Self::Get && method == "HEAD"
    }
}

/// The method and the path of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, its parameters in braces: `/v1/assets/{asset_id}`.
    pub path: &'static str,
}

/// Parameters that a path has at most.
const MAX_PARAMS: usize = 2;

/// The values of a path's parameters, in order, not yet validated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathParams<'a> {
    values: [&'a str; MAX_PARAMS],
    count: usize,
}

impl<'a> PathParams<'a> {
    /// The values, in order.
    ///
    /// Only the first two are kept.
    pub fn new(values: &[&'a str]) -> Self {
        let mut params = Self::default();
        values.iter().for_each(|value| params.push(value));
        params
    }

    /// The value of parameter `n`, counted from 0; empty where there is none.
    pub fn get(&self, n: usize) -> &'a str {
        self.values.get(n).copied().unwrap_or_default()
    }

    fn push(&mut self, value: &'a str) {
        if let Some(place) = self.values.get_mut(self.count) {
            *place = value;
            self.count += 1;
        }
    }
}

impl Route {
    /// `GET`, and with it `HEAD`.
    pub const fn get(path: &'static str) -> Self {
        Self { method: Method::Get, path }
    }

    /// `POST`
    pub const fn post(path: &'static str) -> Self {
        Self { method: Method::Post, path }
    }

    /// `PATCH`
    pub const fn patch(path: &'static str) -> Self {
        Self { method: Method::Patch, path }
    }

    /// `DELETE`
    pub const fn delete(path: &'static str) -> Self {
        Self { method: Method::Delete, path }
    }

    /// The values of the parameters, where `path` is this route's. None of them is empty.
    fn params<'a>(&self, path: &'a str) -> Option<PathParams<'a>> {
        let mut params = PathParams::default();
        let mut parts = path.split('/');
        for expected in self.path.split('/') {
            let part = parts.next()?;
            if expected.starts_with('{') {
                params.push(Some(part).filter(|part| !part.is_empty())?);
            } else if part != expected {
                return None;
            }
        }
        parts.next().is_none().then_some(params)
    }
}

/// A path that is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched<'r, 'p> {
    routes: &'r [Route],
    /// As in the table: `/v1/assets/{asset_id}`.
    pub pattern: &'static str,
    /// Its parameters.
    pub params: PathParams<'p>,
}

/// Finds a path among the routes; `None` where there is none. Where two have it, the one with fewer parameters
/// counts: `/v1/assets/types` is no asset.
pub fn find<'r, 'p>(routes: &'r [Route], path: &'p str) -> Option<Matched<'r, 'p>> {
    let matching = routes.iter().filter_map(|route| Some((route, route.params(path)?)));
    let (route, params) = matching.min_by_key(|(_, params)| params.count)?;
    Some(Matched { routes, pattern: route.path, params })
}

impl Matched<'_, '_> {
    /// The place in the table of the route that takes this method; `None` where the path takes others only.
    pub fn endpoint(&self, method: &str) -> Option<usize> {
        self.routes.iter().position(|route| route.path == self.pattern && route.method.takes(method))
    }

    /// The methods that the path takes, as in `Allow`.
    pub fn allow(&self) -> String {
        let routes = self.routes.iter().filter(|route| route.path == self.pattern);
        let methods = routes.map(|route| match route.method {
            Method::Get => "GET, HEAD",
            method => method.as_str(),
        });
        methods.collect::<Vec<_>>().join(", ")
    }
}
